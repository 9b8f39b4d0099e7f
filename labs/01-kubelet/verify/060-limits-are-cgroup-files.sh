# title: Its limits are numbers in cgroup files
# proves: limits.memory is memory.max (v1: memory.limit_in_bytes), limits.cpu is cpu.max (v1: cpu.cfs_quota_us)
# parallel: yes
# hint: the manifest says 64Mi and 500m
# see: lab xray web

# value V2FILE V1CONTROLLER/V1FILE: of the container, read from its own cgroup.
value() { on sh -c "cat \$(find /sys/fs/cgroup -path '*$uid*$id/$1' -o -path '*/${2%/*}/*$uid*$id/${2#*/}' | head -n 1)"; }

probe() {
	uid=$(pod web '{.metadata.uid}') && id=$(pod web '{.status.containerStatuses[0].containerID}') || return 1
	id=${id##*://}
	memory=$(value memory.max memory/memory.limit_in_bytes)
	[ "$memory" = 67108864 ] || { echo "memory limit is $memory, want 67108864"; return 1; }
	cpu=$(value cpu.max cpu/cpu.cfs_quota_us)
	case $cpu in 50000 | '50000 100000') ;; *) echo "cpu quota is $cpu, want 50000 of 100000 microseconds"; return 1 ;; esac
}
