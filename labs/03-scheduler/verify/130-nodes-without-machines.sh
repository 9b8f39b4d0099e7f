# title: Nodes without machines fill like any others
# proves: to a scheduler a node is an object; thousands fit on a laptop
# time: 60s
# hint no-nodes: `lab logs hollow-nodes` tells what the program that keeps them is at
# hint: their pods are said to run as soon as they are bound
# see: lab fake-nodes 20; lab kubectl get nodes

setup() {
	# The learner may have some already, of another size and perhaps more: they stay, and are as
	# they were afterwards.
	had=$(kubectl get nodes -l groundup.local/hollow -o name | wc -l)
	model=$(sed -n 's/^ *- \(--\(zones\|cpu\|memory\|pods\)=.*\)/\1/p' "$MANIFESTS/hollow-nodes.yaml" 2>/dev/null)
	echo $had $model >had
	nodes=$((had > 20 ? had : 20))
	echo $nodes >nodes
	"$LAB" fake-nodes $nodes --zones 4
	for i in 1 2 3 4; do
		kubectl create -f - <<-YAML
			apiVersion: v1
			kind: Pod
			metadata: {name: hollow-$i, labels: {app: hollow}}
			spec:
			  nodeSelector: {groundup.local/hollow: ""}
			  terminationGracePeriodSeconds: 0
			  topologySpreadConstraints: [{maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: hollow}}}]
			  containers: [{name: app, image: "groundup.local/web:v1"}]
		YAML
	done
}
cleanup() {
	kubectl delete pods -l app=hollow --wait=false
	"$LAB" fake-nodes $(cat had)
}

probe() {
	ready=$(kubectl get nodes -l groundup.local/hollow -o 'jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}' | grep -c True)
	[ "$ready" = "$(cat nodes)" ] || fail no-nodes "$ready of $(cat nodes) nodes are Ready"
	zones=$(for i in 1 2 3 4; do kubectl get node "$(where hollow-$i)" -o 'jsonpath={.metadata.labels.topology\.kubernetes\.io/zone}{"\n"}'; done | sort -u | wc -l)
	[ "$zones" -eq 4 ] || { echo "four pods are in $zones zones"; return 1; }
	phases=$(kubectl get pods -l app=hollow -o 'jsonpath={.items[*].status.phase}')
	[ "$phases" = "Running Running Running Running" ] || { echo "phases: $phases"; return 1; }
}
