# title: A pod without one stays Pending
# proves: nobody watches for pods that have no node; that is the next step
# hint: a scheduler would write spec.nodeName; is there one?
# see: lab kubectl get pods -o wide

setup() { kubectl run waits --image=groundup.local/web:v1; }
cleanup() { kubectl delete pod waits --ignore-not-found --now; }

probe() {
	got=$(kubectl get pod waits -o 'jsonpath={.status.phase}:{.spec.nodeName}') || return 1
	[ "$got" = Pending: ] || { echo "phase and node: $got"; return 1; }
}
