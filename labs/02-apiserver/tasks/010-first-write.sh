# title: Write an object
# proves: an object is a kind, a name, and what you say about it
# task: Create a ConfigMap named motto in the namespace default, with a key text that is not empty.
# time: 30s
# hint: bin/lab kubectl create configmap --help has an example with --from-literal
# see: bin/lab kubectl get configmap motto -o yaml

probe() {
	text=$(kubectl get configmap motto -o 'jsonpath={.data.text}' 2>/dev/null) || { echo "there is no ConfigMap motto"; return 1; }
	[ -n "$text" ] || { echo "motto has no key text"; return 1; }
}

solve() {
	kubectl create configmap motto --from-literal=text='watch, compare, act'
}
