# title: Take the manifest away, and nothing is left
# proves: a pod is processes, cgroups, mounts and an interface, and all of them end
# time: 40s
# hint: what is left names who should have removed it
# see: lab shell node-1 -- sh -c 'ls /sys/fs/cgroup/*/kubepods; ip link'

links() { on ls /sys/class/net; }

setup() {
	links >before
	manifest leaf.yaml <<-'YAML'
		apiVersion: v1
		kind: Pod
		metadata: {name: leaf}
		spec:
		  terminationGracePeriodSeconds: 1
		  containers: [{name: leaf, image: groundup.local/toolbox:v1, command: [sleep, '1000']}]
	YAML
	n=0
	until [ "$(pod leaf '{.status.phase}' 2>/dev/null)" = Running ]; do
		n=$((n + 1))
		[ $n -lt 150 ] || { echo "the pod does not run"; return 1; }
		sleep 0.1
	done
	pod leaf '{.metadata.uid}' >uid
	links >during
	unmanifest leaf.yaml
}

probe() {
	gone leaf || { echo "the kubelet still has the pod"; return 1; }
	uid=$(cat uid)
	left=$(on find /sys/fs/cgroup -type d -name "*$uid*")
	[ -z "$left" ] || { echo "cgroup $left"; return 1; }
	left=$(on sh -c "grep $uid /proc/*/mountinfo /proc/1/mountinfo 2>/dev/null | head -n 1")
	[ -z "$left" ] || { echo "mount $left"; return 1; }
	left=$(on sh -c "if test -e /var/lib/kubelet/pods/$uid; then echo there; else echo gone; fi")
	[ "$left" = gone ] || { echo "/var/lib/kubelet/pods/$uid: $left"; return 1; }
	! cmp -s before during || { echo "the pod had no interface: this check sees nothing"; return 1; }
	links >after
	cmp before after || { echo "interfaces before:" $(cat before) "after:" $(cat after); return 1; }
}

cleanup() {
	unmanifest leaf.yaml
	await_gone leaf
}
