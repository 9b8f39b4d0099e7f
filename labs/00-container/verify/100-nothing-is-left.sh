# title: Removed means gone
# proves: a container is processes, mounts, cgroups and an interface, and all of them end with it
# time: 20s
# hint: what is left names who should have removed it
# see: lab shell node-1 -- sh -c 'ps -ef; grep overlay /proc/mounts; ls /sys/fs/cgroup/*/groundup; ip link'

objects() { on sh -c 'ps -eo args | grep -c "[r]untime-shim pod"; grep -c overlay /proc/self/mounts; ls /sys/class/net | wc -l; ls /run/groundup/netns 2>/dev/null | wc -l; find /sys/fs/cgroup -name "pod*" -type d | wc -l'; }

setup() {
	objects >before
	on runtime run -d --name check-gone groundup.local/toolbox:v1 sleep 1000
	objects >during
	on runtime rm -f check-gone
}

probe() {
	! cmp -s before during || { echo "a running container left no trace: this check sees nothing"; return 1; }
	objects >after
	cmp before after || { echo "before:" $(cat before) "after:" $(cat after); return 1; }
}

cleanup() { ! on runtime ps -a | grep -q check-gone || on runtime rm -f check-gone; }
