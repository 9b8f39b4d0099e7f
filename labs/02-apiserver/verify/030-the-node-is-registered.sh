# title: The node has registered itself and is Ready
# proves: a node is an object that its kubelet writes, and a Lease that it renews
# time: 25s
# hint no-lease: the kubelet renews the Lease every 10 s; see `lab logs kubelet`
# hint: the Ready condition tells what is missing
# see: lab kubectl describe node node-1

setup() { kubectl get lease "$NODE" -n kube-node-lease -o 'jsonpath={.spec.renewTime}' >before; }

probe() {
	ready=$(kubectl get node "$NODE" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status} {.status.addresses[?(@.type=="InternalIP")].address}') || return 1
	[ "$ready" = "True $NODE_IP" ] || { echo "Ready and address: $ready; want True $NODE_IP"; return 1; }
	now=$(kubectl get lease "$NODE" -n kube-node-lease -o 'jsonpath={.spec.renewTime}') || fail no-lease "there is no Lease of $NODE"
	[ "$now" != "$(cat before)" ] || fail no-lease "the Lease was renewed last at $now"
}
