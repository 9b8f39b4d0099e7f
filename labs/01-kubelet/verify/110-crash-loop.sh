# title: A container that keeps failing is started less and less often
# proves: CrashLoopBackOff is a wait of 10 s that doubles, and a message that says so
# time: 40s
# parallel: yes
# hint: see the container's state.waiting
# see: lab pods crash -o '{.status.containerStatuses[0].state}'

setup() {
	manifest crash.yaml <<-'YAML'
		apiVersion: v1
		kind: Pod
		metadata: {name: crash}
		spec:
		  terminationGracePeriodSeconds: 0
		  containers:
		    - name: crash
		      image: groundup.local/toolbox:v1
		      command: [sh, -c, 'echo no luck > /dev/termination-log; exit 3']
	YAML
}

probe() {
	got=$(pod crash '{.status.containerStatuses[0].state.waiting.reason} {.status.containerStatuses[0].lastState.terminated.exitCode} {.status.containerStatuses[0].lastState.terminated.message}') || return 1
	echo "$got"
	[ "$got" = 'CrashLoopBackOff 3 no luck' ] || return 1
	pod crash '{.status.containerStatuses[0].state.waiting.message}' | grep -E 'back-off [0-9]+s restarting failed container=crash pod=crash-'
}

cleanup() {
	unmanifest crash.yaml
	await_gone crash
}
