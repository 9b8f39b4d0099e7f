# title: Kill the kubelet: the pods are the same processes
# proves: an agent that keeps nothing in memory may die at any moment; the shim is the containers' parent
# time: 30s
# hint: each pod has a runtime-shim process that outlives the kubelet
# hint restarted: the new kubelet did not recognise the containers of the old one
# see: lab shell node-1 -- ps -ef

setup() {
	pid web web >pid
	pod web '{.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}' >before
	kubelet=$(service kubelet) || return 1
	echo "$kubelet" >kubelet
	on kill -9 "$kubelet"
}

probe() {
	new=$(service kubelet) && [ "$new" != "$(cat kubelet)" ] || { echo "the kubelet is not back"; return 1; }
	now=$(pod web '{.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}') || return 1
	[ "$now" = "$(cat before)" ] || fail restarted "container and restarts: $now; before: $(cat before)"
	[ "$(pid web web)" = "$(cat pid)" ] || fail restarted "process $(pid web web), before: $(cat pid)"
	[ "$(pod web '{.status.phase}')" = Running ]
}
