# title: A scheduling gate keeps a pod out of the queue
# proves: who makes a pod can say that it is not to be looked at yet
# hint: the condition's reason is SchedulingGated until the last gate is gone
# see: lab kubectl get pod gated -o yaml

setup() {
	paper_node paper-gate 4
	paper_pod gated 'schedulingGates: [{name: example.com/not-yet}]'
	echo shut >stage
}
cleanup() { no_paper; }

probe() {
	if [ "$(cat stage)" = shut ]; then
		reason=$(kubectl get pod gated -o 'jsonpath={.status.conditions[?(@.type=="PodScheduled")].reason}')
		[ "$reason" = SchedulingGated ] || { echo "reason: $reason; want SchedulingGated"; return 1; }
		[ -z "$(where gated)" ] || { echo "gated is on $(where gated)"; return 1; }
		kubectl patch pod gated --type=json -p '[{"op":"remove","path":"/spec/schedulingGates"}]' && echo open >stage
	fi
	[ "$(where gated)" = paper-gate ] || { echo "the gate is gone, and the pod waits"; return 1; }
}
