# title: Of two writers that read the same, one is told to read again
# proves: resourceVersion is the revision in etcd, and a write names the one that it saw
# hint: a PUT with an older metadata.resourceVersion is a 409
# see: lab kubectl get configmap counter -o yaml

setup() {
	kubectl create configmap counter --from-literal=count=0
	kubectl get configmap counter -o yaml >first
	sed 's/count: "0"/count: "1"/' first >one
	sed 's/count: "0"/count: "2"/' first >two
}
cleanup() { kubectl delete configmap counter --ignore-not-found; }

probe() {
	if [ ! -e written ]; then kubectl replace -f one && touch written || return 1; fi
	kubectl replace -f two >out 2>&1 && { echo "the second writer has overwritten the first"; return 1; }
	grep -q 'the object has been modified' out || { cat out; return 1; }
	[ "$(kubectl get configmap counter -o 'jsonpath={.data.count}')" = 1 ]
}
