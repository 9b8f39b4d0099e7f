# title: The API server answers, with certificates both ways
# proves: one address is where everything is written and watched
# hint: is its pod there? `lab pods` asks the kubelet, which needs no API server; then `lab shell node-1 -- sh -c 'tail /var/log/pods/kube-system_kube-apiserver*/*/*.log'`
# see: lab kubectl get --raw '/readyz?verbose'

probe() {
	[ "$(kubectl get --raw /readyz)" = ok ]
}
