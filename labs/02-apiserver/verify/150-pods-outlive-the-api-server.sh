# title: Kill the API server: pods keep running, and it comes back with all it knew
# proves: the control plane decides; the nodes do. What was acknowledged is on disk
# time: 60s
# hint: the kubelet starts the container again; the data is in /var/lib/etcd of the node
# see: lab kubectl get pods -n kube-system

setup() {
	kubectl create configmap survivor --from-literal=still=here
	pod web '{.status.containerStatuses[0].containerID}' >before
	pid kube-apiserver kube-apiserver >old
	on kill -9 "$(cat old)"
}
cleanup() { kubectl delete configmap survivor --ignore-not-found; }

probe() {
	[ "$(pid kube-apiserver kube-apiserver)" != "$(cat old)" ] || { echo "it has not been started again"; return 1; }
	[ "$(kubectl get configmap survivor -o 'jsonpath={.data.still}')" = here ] || { echo "what was written before is gone"; return 1; }
	[ "$(pod web '{.status.containerStatuses[0].containerID}')" = "$(cat before)" ] || { echo "the web server was touched"; return 1; }
}
