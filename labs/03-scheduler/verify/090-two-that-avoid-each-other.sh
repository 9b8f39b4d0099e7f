# title: Pods can stay apart, or together
# proves: affinity between pods looks at who is on the node already
# hint: InterPodAffinity; the third pod that avoids its like has no third node
# see: kubectl get pods -l paper -o wide

setup() {
	paper_node paper-1 8
	paper_node paper-2 8
	apart='affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: loner}}}]}}'
	for i in 1 2 3; do paper_pod "loner-$i" "$apart" 'app: loner'; done
	paper_pod friend 'affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {who: first}}}]}}'
	paper_pod first '' 'who: first'
}
cleanup() { no_paper; }

probe() {
	nodes=$(kubectl get pods -l app=loner -o 'jsonpath={range .items[*]}{.spec.nodeName}{"\n"}{end}' | grep . | sort | tr '\n' ' ')
	[ "$nodes" = "paper-1 paper-2 " ] || { echo "the loners are on $nodes"; return 1; }
	[ -n "$(where first)" ] && [ "$(where first)" = "$(where friend)" ] || { echo "first and friend: $(where first), $(where friend)"; return 1; }
}
