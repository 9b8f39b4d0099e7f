# title: A pod of another scheduler is left alone
# proves: there can be several schedulers; a pod says which one it wants
# time: 20s
# hint: spec.schedulerName is not ours: it must stay without a node, and without a word from us
# see: lab kubectl get pod theirs -o yaml

setup() {
	paper_node paper-one 4
	paper_pod theirs 'schedulerName: somebody-else'
	paper_pod ours
}
cleanup() { no_paper; }

probe() {
	[ "$(where ours)" = paper-one ] || { echo "ours waits: $(refused ours)"; return 1; }
	[ -z "$(where theirs)$(refused theirs)" ] || { echo "theirs: on '$(where theirs)', '$(refused theirs)'"; return 1; }
}
