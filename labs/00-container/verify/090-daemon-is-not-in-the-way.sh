# title: Kill the daemon: the containers do not notice
# proves: the parent of a pod's containers is its shim; the daemon only gives orders
# time: 30s
# hint: the new daemon finds containers on disk and shims by their sockets
# see: lab shell node-1 -- ps -ef

setup() {
	on runtime run -d --name check-daemon groundup.local/toolbox:v1 sh -c 'while :; do date; sleep 0.1; done'
	on runtime ps | grep check-daemon | awk '{print $1, $(NF-1)}' >before
	service runtime >daemon || return 1
	on kill -9 "$(cat daemon)"
}

probe() {
	new=$(service runtime) && [ "$new" != "$(cat daemon)" ] || { echo "the daemon is not back"; return 1; }
	after=$(on runtime ps | grep check-daemon | awk '{print $1, $(NF-1)}')
	[ "$after" = "$(cat before)" ] || { echo "id and process: $after, before: $(cat before)"; return 1; }
	lines=$(on runtime logs check-daemon | wc -l)
	[ "$lines" -gt 5 ] || { echo "$lines lines of log"; return 1; }
}

cleanup() { on runtime rm -f check-daemon; }
