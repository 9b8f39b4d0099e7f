# title: The runtime serves the CRI on a socket
# proves: a kubelet needs nothing of a runtime but this one socket
# hint: is it running? `lab status`, then `lab logs runtime`
# see: lab shell node-1 -- runtime cri

probe() {
	out=$(on runtime cri 2>&1)
	echo "$out"
	echo "$out" | grep -q 'CRI v1$'
}
