# title: Choose where a pod may go
# proves: a pod asks for nodes by their labels, and the scheduler filters by that
# task: Have six nodes without machines (bin/lab fake-nodes 6). Then create a pod named picky, from any image, that may only go to a node whose label topology.kubernetes.io/zone is zone-2, and name no node in it.
# time: 60s
# hint: spec.nodeSelector is a map of labels; spec.affinity.nodeAffinity is the longer way to say it
# hint no-nodes: bin/lab kubectl get nodes -L topology.kubernetes.io/zone shows which there are
# hint named: it was created with a node in its spec, so nobody had to schedule it
# hint elsewhere: it was bound, but it may go elsewhere, too: what does its spec ask for?
# see: bin/lab why pod/picky

probe() {
	kubectl get nodes -l topology.kubernetes.io/zone=zone-2 -o name | grep -q . || fail no-nodes "no node is in zone-2"
	node=$(where picky 2>/dev/null) || { echo "there is no pod picky"; return 1; }
	[ -n "$node" ] || { echo "picky waits: $(refused picky)"; return 1; }
	fields=$(kubectl get pod picky --show-managed-fields -o 'jsonpath={.metadata.managedFields[*].fieldsV1}')
	case $fields in *'"f:nodeName"'*) fail named "picky was created on $node" ;; esac
	kubectl get pod picky -o 'jsonpath={.spec.nodeSelector}{.spec.affinity.nodeAffinity}' | grep -q zone-2 || fail elsewhere "picky is on $node by chance"
	[ "$(kubectl get node "$node" -o 'jsonpath={.metadata.labels.topology\.kubernetes\.io/zone}')" = zone-2 ]
}

solve() {
	"$LAB" fake-nodes 6
	kubectl apply -f - <<-YAML
		apiVersion: v1
		kind: Pod
		metadata: {name: picky}
		spec:
		  nodeSelector: {topology.kubernetes.io/zone: zone-2}
		  containers: [{name: app, image: "groundup.local/web:v1"}]
	YAML
}
