# title: What the scheduler did is one write of one field
# proves: a binding sets spec.nodeName and the condition PodScheduled, in one revision of etcd
# time: 20s
# hint two-writes: the condition PodScheduled belongs to the binding, and is not a write of its own
# hint: `lab trace pod/bound` shows every write, by etcd's revisions
# see: lab trace pod/bound

setup() { kubectl run bound --image=groundup.local/web:v1; }
cleanup() { kubectl delete pod bound --ignore-not-found --now; }

probe() {
	"$LAB" trace pod/bound >story || return 1
	grep 'bound to' story >binding || { echo "nobody has bound it yet: $(cat story)"; return 1; }
	[ "$(wc -l <binding)" -eq 1 ] || { echo "it was bound more than once: $(cat binding)"; return 1; }
	grep -q 'PodScheduled=True' binding || fail two-writes "the condition was not written with the node: $(cat binding)"
}
