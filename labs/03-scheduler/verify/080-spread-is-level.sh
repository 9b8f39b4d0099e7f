# title: Pods of a kind spread level over zones
# proves: some questions are about all nodes at once: how many such pods has each zone?
# hint: PodTopologySpread counts the pods that its selector means, by the label topologyKey of their nodes
# see: lab kubectl get pods -l app=even -o wide

setup() {
	paper_node paper-a 8 'zone: a' # who does not count zones puts most of them where most room is
	for zone in b c; do paper_node "paper-$zone" 2 "zone: $zone"; done
	for i in 1 2 3 4 5 6; do
		CPU=300m paper_pod "even-$i" 'topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: even}}}]' 'app: even'
	done
}
cleanup() { no_paper; }

probe() {
	kubectl get pods -l app=even -o 'jsonpath={range .items[*]}{.spec.nodeName}{"\n"}{end}' | sort | uniq -c | tr -s ' ' >got
	printf ' 2 paper-%s\n' a b c >want
	cmp -s got want || { echo "pods on nodes:"; cat got; return 1; }
}
