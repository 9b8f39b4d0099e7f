# title: Init containers run first, and leave files in a volume
# proves: an emptyDir is a directory that lives as long as its pod
# time: 30s
# parallel: yes
# hint: see the init container's state
# see: lab pods volume -o '{.status}'

setup() {
	manifest volume.yaml <<-'YAML'
		apiVersion: v1
		kind: Pod
		metadata: {name: volume}
		spec:
		  terminationGracePeriodSeconds: 0
		  volumes: [{name: data, emptyDir: {}}]
		  initContainers:
		    - name: write
		      image: groundup.local/toolbox:v1
		      command: [sh, -c, 'echo written by $HOSTNAME > /data/file']
		      volumeMounts: [{name: data, mountPath: /data}]
		  containers:
		    - name: read
		      image: groundup.local/toolbox:v1
		      command: [sh, -c, 'cat /data/file; sleep 1000']
		      volumeMounts: [{name: data, mountPath: /data, readOnly: true}]
	YAML
}

probe() {
	"$LAB" get "/containerLogs/default/volume-$NODE/read" | grep "written by volume-$NODE"
}

cleanup() {
	unmanifest volume.yaml
	await_gone volume
}
