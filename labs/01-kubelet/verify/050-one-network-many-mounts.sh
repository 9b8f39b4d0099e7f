# title: The container shares its sandbox's network, and nothing of the node's
# proves: a pod is some shared namespaces and some private ones
# parallel: yes
# hint: compare the inode numbers in `lab xray web`
# hint host: the pod sits in the node's own namespace
# hint split: container and sandbox are in different namespaces
# see: lab xray web

# namespaces PID: a line for each, such as net:[4026532281].
namespaces() { on sh -c 'cd "/proc/$1/ns" && for n in mnt pid net ipc uts; do readlink $n || exit 1; done' sh "$1"; }

probe() {
	container=$(pid web web) && sandbox=$(pid web sandbox) || return 1
	namespaces 1 >node && namespaces "$container" >container && namespaces "$sandbox" >sandbox || return 1
	for kind in net ipc uts; do
		grep -qxF "$(grep "^$kind:" container)" sandbox || fail split "$kind differs between container and sandbox"
	done
	for kind in mnt pid net ipc uts; do
		! grep -qxF "$(grep "^$kind:" container)" node || fail host "$kind is the node's own"
	done
}
