# title: Pods can stay apart, or together
# proves: affinity between pods looks at who is on the node already
# hint: InterPodAffinity; the third pod that avoids its like has no third node
# see: lab kubectl get pods -l paper -o wide

setup() {
	paper_node paper-1 8
	paper_node paper-2 8
	apart='affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: loner}}}]}}'
	for i in 1 2 3; do paper_pod "loner-$i" "$apart" 'app: loner'; done
	near='affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {who: first}}}]}}'
	for i in 1 2; do paper_pod "friend-$i" "$near"; done # two of them would be on two nodes by themselves
	paper_pod first '' 'who: first'
}
cleanup() { no_paper; }

probe() {
	nodes=$(kubectl get pods -l app=loner -o 'jsonpath={range .items[*]}{.spec.nodeName}{"\n"}{end}' | grep . | sort | tr '\n' ' ')
	[ "$nodes" = "paper-1 paper-2 " ] || { echo "the loners are on $nodes"; return 1; }
	first=$(where first)
	[ -n "$first" ] && [ "$(where friend-1) $(where friend-2)" = "$first $first" ] || { echo "first and its friends: $first, $(where friend-1), $(where friend-2)"; return 1; }
}
