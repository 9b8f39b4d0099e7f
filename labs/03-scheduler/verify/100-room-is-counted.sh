# title: Requests are counted, and room that is given back is used at once
# proves: a pod that fitted nowhere waits for the event that could help it: here, the end of another pod
# time: 20s
# hint no-room: two pods of 600m are on a node of one processor: requests are not counted
# hint: the second should be bound as soon as the first is gone; nobody should wait for five minutes
# see: lab kubectl describe pod second

setup() {
	paper_node paper-small 1
	CPU=600m paper_pod one
	n=0
	until [ -n "$(where one)" ] || [ $n -gt 50 ]; do n=$((n + 1)); sleep 0.1; done
	CPU=600m paper_pod second
	echo waiting >stage
}
cleanup() { no_paper; }

probe() {
	if [ "$(cat stage)" = waiting ]; then
		[ -z "$(where second)" ] || fail no-room "second is on $(where second), beside one"
		refused second | grep -q 'Insufficient cpu' || { echo "second: $(refused second)"; return 1; }
		kubectl delete pod one --force --grace-period=0 --wait=false && echo freed >stage
	fi
	[ "$(where second)" = paper-small ] || { echo "one is gone, and second waits still: $(refused second)"; return 1; }
}
