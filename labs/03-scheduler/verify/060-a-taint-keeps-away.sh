# title: A taint keeps pods away that do not tolerate it
# proves: a filter is a question about one pod and one node
# hint: TaintToleration looks at the node's taints and the pod's tolerations; `lab why pod/plain`
# see: lab kubectl get pods -l paper -o wide

setup() {
	paper_node paper-clean 4
	paper_node paper-tainted 4
	kubectl taint node paper-tainted kept=away:NoSchedule
	paper_pod plain
	paper_pod tolerant 'tolerations: [{key: kept, operator: Exists}]
affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchFields: [{key: metadata.name, operator: In, values: [paper-tainted]}]}]}}}'
	paper_pod stubborn 'affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchFields: [{key: metadata.name, operator: In, values: [paper-tainted]}]}]}}}'
}
cleanup() { no_paper; }

probe() {
	got=$(where plain):$(where tolerant):$(where stubborn)
	[ "$got" = paper-clean:paper-tainted: ] || { echo "plain, tolerant, stubborn: $got; want paper-clean:paper-tainted:"; return 1; }
	refused stubborn | grep -q 'had untolerated taint' || { echo "stubborn: $(refused stubborn)"; return 1; }
}
