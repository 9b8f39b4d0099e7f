# title: It is a pod itself, that no API server was needed to start
# proves: the kubelet of step 01 runs the control plane from a directory of files; a mirror pod shows it
# hint: compare /etc/kubernetes/manifests in the node with what the API server shows in kube-system
# see: lab kubectl get pods -n kube-system -l tier=control-plane

probe() {
	got=$(kubectl get pod "kube-apiserver-$NODE" -n kube-system -o 'jsonpath={.metadata.annotations.kubernetes\.io/config\.source} {.metadata.ownerReferences[0].kind} {.status.phase}') || return 1
	[ "$got" = "file Node Running" ] || { echo "source, owner, phase: $got; want file Node Running"; return 1; }
}
