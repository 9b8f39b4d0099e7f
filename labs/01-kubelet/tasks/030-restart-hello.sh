# title: Make the kubelet restart it
# proves: a restart is a new process in the old sandbox: the address stays
# task: End hello's process from inside the node, so that the kubelet has to start it again.
# time: 60s
# hint: `lab xray hello` shows its process id; `kill` works in `lab shell`
# hint no-pod: there is no pod hello: do the tasks before this one
# see: lab pods hello -o '{.status.containerStatuses[0]}'

probe() {
	got=$(pod hello '{.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].state.running.startedAt}' 2>/dev/null) || fail no-pod "no kubelet runs a pod hello"
	case $got in
	0*) echo "hello has not been restarted yet"; return 1 ;;
	*T*) ;;
	*) echo "hello does not run at the moment"; return 1 ;;
	esac
}

solve() {
	n=0
	until p=$(pid hello hello); do # the task before may still be replacing it
		n=$((n + 1))
		[ $n -lt 300 ] || return 1
		sleep 0.1
	done
	on kill -9 "$p"
}
