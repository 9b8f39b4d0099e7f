# title: A pod can ask for nodes, and prefer among them
# proves: required affinity is a filter, preferred affinity is a score
# hint: `lab why pod/prefers` shows NodeAffinity's scores

setup() {
	paper_node paper-a 4 'zone: a, disk: slow'
	paper_node paper-b 4 'zone: b, disk: slow'
	paper_node paper-c 1 'zone: b, disk: fast' # the smallest: nobody goes there who need not
	paper_pod requires 'affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: zone, operator: In, values: [a]}]}]}}}'
	paper_pod prefers 'affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 100, preference: {matchExpressions: [{key: disk, operator: In, values: [fast]}]}}]}}'
}
cleanup() { no_paper; }

probe() {
	got=$(where requires):$(where prefers)
	[ "$got" = paper-a:paper-c ] || { echo "requires, prefers: $got; want paper-a:paper-c"; return 1; }
}
