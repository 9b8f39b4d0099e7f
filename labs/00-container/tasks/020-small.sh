# title: Give another one 16 MiB of memory
# proves: a flag of a command becomes a number in a cgroup file
# task: Run a container named small from groundup.local/toolbox:v1 that sleeps, and that the kernel gives at most 16 MiB of memory.
# hint: -m 16m, and a command such as `sleep 1000`
# hint none: there is no container small, or it has ended
# hint other: the kernel has another limit for it
# see: lab shell node-1 -- runtime stats

probe() {
	p=$(on runtime ps | awk '$2 == "small" && $4 == "running" {print $(NF-1)}')
	[ -n "$p" ] || fail none "no container named small runs"
	file=$(on sh -c "ls /sys/fs/cgroup/memory\$(sed -n 's/^[0-9]*:memory://p' /proc/$p/cgroup)/memory.limit_in_bytes /sys/fs/cgroup\$(sed -n 's/^0:://p' /proc/$p/cgroup)/memory.max 2>/dev/null | head -n 1")
	limit=$(on cat "$file")
	[ "$limit" = 16777216 ] || fail other "$file says $limit"
}

solve() {
	on runtime run -d --name small -m 16m groundup.local/toolbox:v1 sleep 100000
}
