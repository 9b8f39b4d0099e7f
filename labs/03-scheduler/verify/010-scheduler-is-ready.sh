# title: The scheduler is a pod of the control plane, and well
# proves: a further component is a further file in the manifest directory
# hint no-pod: is /etc/kubernetes/manifests/kube-scheduler.yaml there? `lab pods` asks the kubelet what it runs
# hint: `lab logs kube-scheduler` tells what it is waiting for
# see: lab kubectl get pods -n kube-system -l tier=control-plane

probe() {
	phase=$(kubectl get pod "kube-scheduler-$NODE" -n kube-system -o 'jsonpath={.metadata.annotations.kubernetes\.io/config\.source} {.status.phase}' 2>/dev/null) || fail no-pod "there is no pod kube-scheduler-$NODE"
	[ "$phase" = "file Running" ] || { echo "source and phase: $phase; want file Running"; return 1; }
	[ "$("$LAB" get --anonymous "https://$NODE_IP:10259/readyz")" = ok ] || { echo "/readyz does not say ok"; return 1; }
}
