# title: A pod that names no node gets one, and runs
# proves: the scheduler watches for pods without a node and writes one; the kubelet does what it did before
# time: 30s
# hint rejected: its kubelet would not have it; `lab kubectl describe node node-1` shows the node's conditions
# hint no-node: it has no node; `lab why pod/anywhere` tells what the scheduler thinks of it
# hint: it has a node; the rest is the kubelet's: `lab kubectl describe pod anywhere`
# see: lab kubectl get pod anywhere -o wide

setup() { run_real anywhere; }
cleanup() { kubectl delete pod anywhere --ignore-not-found --now; }

probe() {
	node=$(kubectl get pod anywhere -o 'jsonpath={.spec.nodeName}') || return 1
	[ -n "$node" ] || fail no-node "anywhere waits: $(refused anywhere)"
	case $(kubectl get pod anywhere -o 'jsonpath={.status.phase}') in
	Failed) fail rejected "$(kubectl get pod anywhere -o 'jsonpath={.status.reason}: {.status.message}')" ;;
	esac
	ready=$(kubectl get pod anywhere -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')
	[ "$ready" = True ] || { echo "anywhere is on $node, and its web server has not answered the kubelet there"; return 1; }
}
