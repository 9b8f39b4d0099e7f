# title: No two on one node
# proves: affinity between pods is about who is there already
# task: Create three pods labelled app=solo on the nodes without machines, no two of them on one node, by their own wish: whoever creates a fourth shall not have to know where the others are.
# time: 60s
# hint: spec.affinity.podAntiAffinity, with the topologyKey kubernetes.io/hostname
# hint together: two of them are on one node; does each of them avoid the label app=solo?
# hint wish: they are on three nodes, but not because they asked for it
# see: bin/lab kubectl get pods -l app=solo -o wide

probe() {
	nodes=$(kubectl get pods -l app=solo -o 'jsonpath={range .items[*]}{.spec.nodeName}{"\n"}{end}' | grep .) || { echo "no pod labelled app=solo has a node"; return 1; }
	[ "$(echo "$nodes" | wc -l)" -ge 3 ] || { echo "they are on: $(echo $nodes)"; return 1; }
	[ -z "$(echo "$nodes" | sort | uniq -d)" ] || fail together "they are on: $(echo $nodes)"
	asked=$(kubectl get pods -l app=solo -o 'jsonpath={range .items[*]}{.spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[*].topologyKey}{"\n"}{end}' | grep -c kubernetes.io/hostname)
	[ "$asked" -ge 3 ] || fail wish "$asked of them avoid the others"
}

solve() {
	"$LAB" fake-nodes 6
	for i in 1 2 3; do
		kubectl apply -f - <<-YAML
			apiVersion: v1
			kind: Pod
			metadata: {name: solo-$i, labels: {app: solo}}
			spec:
			  nodeSelector: {groundup.local/hollow: ""}
			  containers: [{name: app, image: "groundup.local/web:v1"}]
			  affinity:
			    podAntiAffinity:
			      requiredDuringSchedulingIgnoredDuringExecution:
			        - topologyKey: kubernetes.io/hostname
			          labelSelector: {matchLabels: {app: solo}}
		YAML
	done
}
