# title: It may do little, and see little of the kernel
# proves: root in a container has 14 capabilities and can never have others; dangerous files of /proc are masked
# parallel: yes
# hint: compare CapEff and CapBnd in /proc/PID/status
# see: lab shell node-1 -- sh -c 'grep Cap /proc/$(lab xray web --pid web)/status'

probe() {
	p=$(pid web web) || return 1
	on cat "/proc/$p/status" >status || return 1
	for set in CapEff CapBnd; do
		caps=$(sed -n "s/^$set:[[:space:]]*//p" status)
		[ "$caps" = 00000000a80425fb ] || { echo "$set is $caps, want 00000000a80425fb"; return 1; }
	done
	readable=$(on sh -c 'cd "/proc/$1/root/proc" && for f in kcore keys timer_list sched_debug; do [ -z "$(head -c 1 $f 2>/dev/null)" ] || echo $f; done' sh "$p") || return 1
	[ -z "$readable" ] || { echo "can be read in /proc:" $readable; return 1; }
	! on sh -c "echo 1 >/proc/$p/root/proc/sys/kernel/panic" 2>/dev/null || { echo "/proc/sys can be written"; return 1; }
}
