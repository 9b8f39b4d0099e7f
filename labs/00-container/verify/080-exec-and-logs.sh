# title: One can run a process in it, and read what it wrote
# proves: exec is a process that joins the same namespaces; a log is a file in the CRI's format
# time: 20s
# hint: `runtime logs` reads the file that the shim writes
# see: lab shell node-1 -- runtime ps

setup() { on runtime run -d --name check-exec groundup.local/toolbox:v1 sh -c 'echo to the log; sleep 1000'; }

probe() {
	[ "$(on runtime exec check-exec sh -c 'cat /proc/1/cmdline | tr "\0" " "' | cut -d ' ' -f 1)" = sh ] || { echo "exec is not in the container's PID namespace"; return 1; }
	on runtime exec check-exec sh -c 'exit 7'
	code=$?
	[ $code = 7 ] || { echo "exec ended with $code, want 7"; return 1; }
	on runtime logs check-exec | grep 'to the log'
}

cleanup() { on runtime rm -f check-exec; }
