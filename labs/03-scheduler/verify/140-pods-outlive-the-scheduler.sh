# title: Without the scheduler what runs goes on, and what is new waits
# proves: the scheduler is needed once for each pod, and then never again
# time: 60s
# hint stopped: a pod that ran before should be the same container, and so the same process
# hint bound: somebody has bound a pod while there was no scheduler
# hint: with its manifest back the scheduler finds the pod that waited
# see: lab kubectl get pods -o wide

setup() {
	run_real before
	kubectl wait pod/before --for=condition=Ready --timeout=30s
	container before >before.id
	cp "$MANIFESTS/kube-scheduler.yaml" manifest
	unmanifest kube-scheduler.yaml
	kubectl wait "pod/kube-scheduler-$NODE" -n kube-system --for=delete --timeout=30s
	kubectl run while-down --image=groundup.local/web:v1
	echo down >stage
}
cleanup() {
	[ -e "$MANIFESTS/kube-scheduler.yaml" ] || manifest kube-scheduler.yaml <manifest
	kubectl delete pod before while-down --ignore-not-found --now
}

probe() {
	[ "$(container before)" = "$(cat before.id)" ] || fail stopped "before was container $(cat before.id)"
	if [ "$(cat stage)" = down ]; then
		[ -z "$(where while-down)" ] || fail bound "while-down is on $(where while-down)"
		manifest kube-scheduler.yaml <manifest && echo up >stage
	fi
	[ -n "$(where while-down)" ] || { echo "while-down waits"; return 1; }
}
