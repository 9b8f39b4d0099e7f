# title: Be the scheduler
# proves: scheduling is writing one field
# task: Create a pod named lonely from groundup.local/web:v1 without a node. When it is Pending, bind it to node-1 by a POST to its binding.
# time: 60s
# hint: a Binding is {"apiVersion":"v1","kind":"Binding","metadata":{"name":"lonely"},"target":{"kind":"Node","name":"node-1"}}, for /api/v1/namespaces/default/pods/lonely/binding
# hint not-bound: it is there and waits; lab kubectl create --raw PATH -f - posts what it reads
# hint named: it was created with a node in its spec, so nobody had to bind it; delete it and leave nodeName out
# see: bin/lab kubectl get pod lonely -o wide

probe() {
	node=$(kubectl get pod lonely -o 'jsonpath={.spec.nodeName}' 2>/dev/null) || { echo "there is no pod lonely"; return 1; }
	[ -n "$node" ] || fail not-bound "lonely has no node"
	fields=$(kubectl get pod lonely --show-managed-fields -o 'jsonpath={.metadata.managedFields[*].fieldsV1}')
	case $fields in *'"f:nodeName"'*) fail named "lonely was created on $node" ;; esac
	[ "$(kubectl get pod lonely -o 'jsonpath={.status.phase}')" = Running ]
}

solve() {
	kubectl run lonely --image=groundup.local/web:v1
	printf '{"apiVersion":"v1","kind":"Binding","metadata":{"name":"lonely"},"target":{"kind":"Node","name":"%s"}}' "$NODE" |
		kubectl create --raw /api/v1/namespaces/default/pods/lonely/binding -f -
}
