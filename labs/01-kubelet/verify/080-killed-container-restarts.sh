# title: Kill its process, and it runs again, at the same address
# proves: the kubelet observes, compares, acts; the sandbox holds the network while containers come and go
# time: 30s
# hint: restartPolicy is Always; see the container's lastState
# see: lab pods web -o '{.status.containerStatuses[0]}'

setup() {
	pod web '{.status.containerStatuses[0].restartCount} {.status.podIP}' >before
	on kill -9 "$(pid web web)"
}

probe() {
	read -r count ip <before
	now=$(pod web '{.status.containerStatuses[0].restartCount} {.status.podIP} {.status.containerStatuses[0].ready}')
	[ "$now" = "$((count + 1)) $ip true" ] || { echo "restarts, address, ready: $now; before: $count $ip"; return 1; }
}
