# title: lab why shows the decision that was made
# proves: a decision is a table of nodes by plugins, and it is kept as it was made
# hint: the scheduler answers at /debug/why on its own port; `lab logs kube-scheduler`
# see: lab why pod/puzzle

setup() {
	kubectl apply -f - <<-YAML
		apiVersion: v1
		kind: Pod
		metadata: {name: puzzle}
		spec:
		  nodeSelector: {there: is-none}
		  containers: [{name: app, image: "groundup.local/web:v1"}]
	YAML
}
cleanup() { kubectl delete pod puzzle --ignore-not-found --now; }

probe() {
	"$LAB" why pod/puzzle >why || return 1
	grep -q "^$NODE .*NodeAffinity: node(s) didn't match Pod's node affinity/selector" why || { cat why; return 1; }
}
