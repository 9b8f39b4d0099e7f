# title: A pod that matters more takes the place of one that matters less
# proves: preemption chooses the fewest and least important victims, and tells them why
# time: 30s
# hint no-victim: nothing was taken away; `lab why pod/urgent` tells what the filters said
# hint wrong-victim: the pod of the lowest priority was to go
# see: lab kubectl get events --field-selector reason=Preempted

setup() {
	kubectl create priorityclass paper-low --value=10
	kubectl create priorityclass paper-mid --value=100
	kubectl create priorityclass paper-high --value=1000
	paper_node paper-full 2
	CPU=1 paper_pod low 'priorityClassName: paper-low'
	CPU=1 paper_pod mid 'priorityClassName: paper-mid'
	n=0
	until [ -n "$(where low)" ] && [ -n "$(where mid)" ] || [ $n -gt 50 ]; do n=$((n + 1)); sleep 0.1; done
	CPU=1 paper_pod urgent 'priorityClassName: paper-high'
}
cleanup() {
	no_paper
	kubectl delete priorityclass paper-low paper-mid paper-high --ignore-not-found
}

probe() {
	[ "$(where urgent)" = paper-full ] || fail no-victim "urgent waits: $(refused urgent)"
	names=$(kubectl get pods -l paper -o 'jsonpath={.items[*].metadata.name}')
	[ "$names" = "mid urgent" ] || fail wrong-victim "left are: $names; want mid urgent"
}
