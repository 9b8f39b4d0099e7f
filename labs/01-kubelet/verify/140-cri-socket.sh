# title: The node speaks CRI on a socket
# proves: the kubelet's runtime is reached by the same protocol as containerd and CRI-O
# hint: the kubelet serves its runtime on /run/groundup/cri.sock
# see: lab shell node-1 -- runtime ps

probe() {
	on runtime ps | grep web
}
