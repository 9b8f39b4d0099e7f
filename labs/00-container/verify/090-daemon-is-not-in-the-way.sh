# title: Kill the daemon: the containers do not notice
# proves: the parent of a pod's containers is its shim; the daemon only gives orders
# time: 30s
# hint: the new daemon finds containers on disk and shims by their sockets
# see: lab shell node-1 -- ps -ef

setup() {
	on runtime run -d --name check-daemon groundup.local/toolbox:v1 sh -c 'n=0; while :; do n=$((n + 1)); echo $n; sleep 0.1; done'
	on runtime ps | grep check-daemon | awk '{print $1, $(NF-1)}' >before
	service runtime >daemon || return 1
	on kill -9 "$(cat daemon)"
}

probe() {
	new=$(service runtime) && [ "$new" != "$(cat daemon)" ] || { echo "the daemon is not back"; return 1; }
	after=$(on runtime ps | grep check-daemon | awk '{print $1, $(NF-1)}')
	[ "$after" = "$(cat before)" ] || { echo "id and process: $after, before: $(cat before)"; return 1; }
	on runtime logs check-daemon >log || return 1
	[ "$(wc -l <log)" -gt 5 ] || { echo "the log has $(wc -l <log) lines"; return 1; }
	awk '$1 != NR { print "line " NR " of the log is missing: got " $1; exit 1 }' log
}

cleanup() { on runtime rm -f check-daemon; }
