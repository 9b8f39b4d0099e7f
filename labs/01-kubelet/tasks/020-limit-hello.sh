# title: Give it at most 32 MiB
# proves: a changed static pod is a new pod: the old one is stopped first, then the new one starts
# task: Change hello's manifest so that the kernel gives its container at most 32 MiB of memory.
# time: 60s
# hint: resources.limits.memory, in the container
# hint no-pod: there is no pod hello yet: do the task before this one
# hint other: the kernel has another limit for it
# see: lab xray hello

probe() {
	uid=$(pod hello '{.metadata.uid}' 2>/dev/null) || fail no-pod "no kubelet runs a pod hello"
	id=$(pod hello '{.status.containerStatuses[0].containerID}')
	file=$(on sh -c "find /sys/fs/cgroup -path '*$uid*${id##*://}/memory.max' -o -path '*$uid*${id##*://}/memory.limit_in_bytes' | head -n 1")
	[ -n "$file" ] || { echo "hello has no container now"; return 1; }
	limit=$(on cat "$file")
	[ "$limit" = 33554432 ] || fail other "$file says $limit"
}

solve() {
	manifest hello.yaml <<-'YAML'
		apiVersion: v1
		kind: Pod
		metadata:
		  name: hello
		spec:
		  containers:
		    - name: hello
		      image: groundup.local/web:v1
		      resources:
		        limits: {memory: 32Mi}
	YAML
}
