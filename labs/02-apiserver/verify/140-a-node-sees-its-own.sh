# title: A node's certificate opens only what its pods need
# proves: a stolen node is one node, not the cluster
# hint: the node authorizer follows the pods that are bound to the node to what they name
# see: lab shell node-1 -- kubectl --kubeconfig /etc/kubernetes/kubelet.conf get secrets -A

setup() { kubectl create secret generic not-yours --from-literal=key=secret; }
cleanup() { kubectl delete secret not-yours --ignore-not-found; }

probe() {
	on kubectl --kubeconfig /etc/kubernetes/kubelet.conf get node "$NODE" -o name >out 2>&1 || { cat out; return 1; }
	on kubectl --kubeconfig /etc/kubernetes/kubelet.conf get secret not-yours >out 2>&1 && { echo "the node could read a secret that none of its pods uses"; return 1; }
	grep -q Forbidden out || { cat out; return 1; }
}
