# title: Take the manifest away, and nothing is left
# proves: a pod is processes, cgroups, mounts and an interface, and all of them end
# time: 40s
# parallel: yes
# hint: what is left names who should have removed it
# see: lab shell node-1 -- sh -c 'ls /sys/fs/cgroup/*/kubepods; ip link'

# traces: what there is of the pod in the node, in a line each.
traces() {
	on sh -c '
		find /sys/fs/cgroup -type d -name "*$1*" | sed "s/^/cgroup /"
		grep -l "$1" /proc/[0-9]*/mountinfo 2>/dev/null | sed "s/^/mount in /"
		find /var/lib/kubelet/pods -maxdepth 1 -name "*$1*" | sed "s/^/directory /"
		grep -lx "$2" /sys/class/net/*/ifindex | sed "s/^/interface /"
	' sh "$(cat uid)" "$(cat interface)"
}

setup() {
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
	pod leaf '{.metadata.uid}' >uid || return 1
	on cat "/proc/$(pid leaf leaf)/root/sys/class/net/eth0/iflink" >interface || return 1 # of the pair's other end
	traces >during
	for kind in cgroup mount directory interface; do
		grep -q "^$kind " during || { echo "a pod that runs has no $kind: this check sees nothing"; return 1; }
	done
	unmanifest leaf.yaml
}

probe() {
	gone leaf || { echo "the kubelet still has the pod"; return 1; }
	left=$(traces) || return 1
	[ -z "$left" ] || { echo "$left"; return 1; }
}

cleanup() {
	unmanifest leaf.yaml
	await_gone leaf
}
