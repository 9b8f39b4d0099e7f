# title: A manifest in a directory is a running pod
# proves: a static pod needs no API server and no scheduler: the file says it, the node does it
# time: 30s
# hint: `lab pods` shows its state, `lab logs kubelet` why
# hint no-pod: the kubelet does not know the pod: is web.yaml in /etc/kubernetes/manifests?
# hint waiting: the container waits, and the reason says for what
# see: lab pods

probe() {
	phase=$(pod web '{.status.phase}') || fail no-pod "the kubelet knows no pod web"
	ready=$(pod web '{.status.conditions[?(@.type=="Ready")].status}')
	[ "$phase/$ready" = Running/True ] ||
		fail waiting "phase $phase, ready $ready: $(pod web '{.status.containerStatuses[0].state}')"
}
