#!/bin/bash
# Lets our kubelet and upstream's run the same pods, on a fresh cluster of step 02 in a
# network namespace of its own: agree-kubelet.sh [flags of agree-kubelet]. Node 2 is ours; on
# node 3 upstream's kubelet uses our runtime by its socket. Both work at upstream's API server,
# so that nothing of ours is between them and what they are told; with API=ours in the
# environment they work at that of step 03, the first that has all that upstream's kubelet needs.
set -euo pipefail
cd "$(dirname "$0")/../.."
export step=02
[ "${API:-upstream}" = upstream ] || step=03
tools/upstream/build.sh bin/upstream kubelet
bin/lab build "$step"
go build -o bin/agree/ ./tools/lab/cmd/agree-kubelet
GROUNDUP_HOME=$(mktemp -d)
export GROUNDUP_HOME
# services tells what node 3 runs from what it ran.
services() {
	echo '[{"name": "runtime", "argv": ["/opt/groundup/bin/runtime", "serve", "--listen=unix:///run/groundup/cri.sock", "--network=bridge", "--pod-cidr=10.244.3.0/24"]},'
	sed -e 1d -e 's|/opt/groundup/bin/kubelet|/opt/groundup/bin/upstream-kubelet|' -e '/--network=/d' \
		-e 's|"--pod-cidr=.*"|"--container-runtime-endpoint=unix:///run/groundup/cri.sock"|' "$1"
}
inside() {
	trap 'bin/lab down; rmdir "$GROUNDUP_HOME" 2>/dev/null || :' EXIT
	ip link set lo up
	bin/lab up "$step" --nodes 3 --no-build
	if [ "$step" = 02 ]; then bin/lab swap kube-apiserver upstream; fi
	cp bin/upstream/kubelet "$GROUNDUP_HOME/bin/upstream-kubelet"
	of=$GROUNDUP_HOME/nodes/node-3/root/etc/groundup/services.json
	services "$of" > "$of.new"
	mv "$of.new" "$of"
	bin/lab shell node-3 -- kill -HUP 1
	version=$(bin/upstream/kubelet --version)
	bin/lab kubectl wait node/node-3 --timeout=60s --for=jsonpath="{.status.nodeInfo.kubeletVersion}=${version#Kubernetes }"
	bin/lab kubectl wait node/node-3 --timeout=60s --for=condition=Ready
	bin/agree/agree-kubelet -kubeconfig "$(bin/lab kubeconfig)" "$@"
}
export -f inside services
exec unshare -n bash -euo pipefail -c 'inside "$@"' inside "$@"
