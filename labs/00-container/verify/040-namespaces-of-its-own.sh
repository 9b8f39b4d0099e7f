# title: It has namespaces of its own
# proves: isolation is not a wall but six numbers in /proc/self/ns
# hint same: the container sits in a namespace of the node
# hint: compare with the node's own in /proc/1/ns
# see: lab shell node-1 -- runtime run --rm groundup.local/toolbox:v1 ls -l /proc/self/ns

probe() {
	inside=$(on runtime run --rm groundup.local/toolbox:v1 sh -c 'for n in mnt pid net ipc uts; do readlink /proc/self/ns/$n; done') || { echo "$inside"; return 1; }
	for n in mnt pid net ipc uts; do
		own=$(on readlink /proc/1/ns/$n)
		echo "$inside" | grep -q "^$n:" || { echo "no $n namespace: $inside"; return 1; }
		! echo "$inside" | grep -qF "$own" || fail same "$own is the node's"
	done
}
