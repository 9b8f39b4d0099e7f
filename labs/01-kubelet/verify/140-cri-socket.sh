# title: The node speaks CRI on a socket
# proves: the kubelet's runtime is reached by the same protocol as containerd and CRI-O
# parallel: yes
# hint: the kubelet serves its runtime on /run/groundup/cri.sock
# see: lab shell node-1 -- runtime cri

probe() {
	out=$(on runtime cri 2>&1)
	echo "$out"
	echo "$out" | grep -q 'CRI v1$' && echo "$out" | grep -q " web-$NODE .*ready$"
}
