# title: The container shares its sandbox's network, and nothing of the node's
# proves: a pod is some shared namespaces and some private ones
# hint: compare the inode numbers in `lab xray web`
# hint host: the pod sits in the node's own namespace
# hint split: container and sandbox are in different namespaces
# see: lab xray web

ns() { on readlink "/proc/$1/ns/$2"; }

probe() {
	container=$(pid web web) && sandbox=$(pid web sandbox) || return 1
	for kind in net ipc uts; do
		[ "$(ns "$container" $kind)" = "$(ns "$sandbox" $kind)" ] || fail split "$kind differs between container and sandbox"
		[ "$(ns "$container" $kind)" != "$(ns 1 $kind)" ] || fail host "$kind is the node's own"
	done
	for kind in mnt pid; do
		[ "$(ns "$container" $kind)" != "$(ns 1 $kind)" ] || fail host "$kind is the node's own"
	done
}
