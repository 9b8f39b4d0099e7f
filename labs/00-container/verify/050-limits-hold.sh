# title: A memory limit is a number in a cgroup file, and it holds
# proves: what uses more than memory.max (v1: memory.limit_in_bytes) is killed by the kernel, not by us
# time: 30s
# hint: the exit code of a process killed by signal 9 is 137
# see: lab shell node-1 -- runtime run --rm -m 32m groundup.local/toolbox:v1 stress -m 128Mi -t 20

probe() {
	out=$(on runtime run --rm -m 32m groundup.local/toolbox:v1 sh -c 'cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes') || { echo "$out"; return 1; }
	[ "$out" = 33554432 ] || { echo "the limit is $out, want 33554432"; return 1; }
	out=$(on runtime run --rm -m 32m groundup.local/toolbox:v1 stress -m 128Mi -t 20 2>&1)
	code=$?
	[ $code = 137 ] || { echo "exit code $code, want 137: $out"; return 1; }
}
