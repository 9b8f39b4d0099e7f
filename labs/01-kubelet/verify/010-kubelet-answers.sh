# title: The kubelet answers over TLS
# proves: a node agent is a process that an init starts, with a certificate of the cluster
# hint: is it running? `lab status`, then `lab logs kubelet`
# see: lab get /healthz

probe() {
	[ "$("$LAB" get /healthz)" = ok ]
}
