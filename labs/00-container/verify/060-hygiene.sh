# title: Root in a container is not root on the node
# proves: 14 capabilities, no way to gain more, dangerous files masked or read-only
# hint: `runtime spec` shows process.capabilities, noNewPrivileges, linux.maskedPaths
# see: lab shell node-1 -- runtime spec groundup.local/toolbox:v1

probe() {
	out=$(on runtime run --rm groundup.local/toolbox:v1 sh -c '
		grep -E "CapEff|NoNewPrivs" /proc/self/status
		for f in kcore keys timer_list sched_debug; do test ! -e /proc/$f || test -z "$(head -c 1 /proc/$f)" || echo "readable: $f"; done
		echo 1 2>/dev/null > /proc/sys/kernel/panic || echo read-only') || { echo "$out"; return 1; }
	echo "$out"
	echo "$out" | grep -q 'CapEff:.*00000000a80425fb' && echo "$out" | grep -q 'NoNewPrivs:.*1' && ! echo "$out" | grep -q readable: && echo "$out" | grep -q read-only
}
