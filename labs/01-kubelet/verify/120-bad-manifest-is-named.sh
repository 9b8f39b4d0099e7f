# title: A mistake in a manifest is named, and what runs keeps running
# proves: desired state that cannot be read is not an empty desired state
# time: 20s
# parallel: yes
# hint: a half-written file must not stop a pod
# hint silent: the kubelet must say which file, which line and which field
# hint stopped: the pod of a file that cannot be read any more keeps running as it was
# see: lab logs kubelet

setup() {
	cp "$MANIFESTS/web.yaml" copy && mv copy web.yaml || return 1 # whole, or not at all
	pod web '{.status.containerStatuses[0].containerID}' >before
	echo "mistake$$" >field # new each time: an old line of the log proves nothing
	sed "s/containerPort: 8080/$(cat field): 8080/" web.yaml | manifest web.yaml
}

probe() {
	path="spec.containers[0].ports[0].$(cat field)"
	"$LAB" logs kubelet --tail 100 | grep 'web.yaml:[0-9]' | grep -F "$path" || fail silent "the log does not name web.yaml, the line, and $path"
	[ "$(pod web '{.status.containerStatuses[0].containerID}')" = "$(cat before)" ] || fail stopped "the pod changed"
}

cleanup() {
	[ ! -e web.yaml ] || manifest web.yaml <web.yaml
}
