#!/bin/bash
# Runs the specs of steps/NN-name/conformance.txt, or of another list, on a fresh
# cluster of a step, in a network namespace of its own: conformance.sh NN [LIST].
# What each spec said is in bin/conformance-logs. Before step 03 there is no scheduler: the
# runner binds the pods.
set -euo pipefail
cd "$(dirname "$0")/../.."
step=$1
list=${2:-$(echo steps/"$step"-*/conformance.txt)}
for f in e2e.test agnhost; do
	[ -x bin/upstream/$f ] || tools/upstream/build.sh bin/upstream $f
done
bin/lab build "$step"
bin/images conformance -o bin/upstream/images --agnhost bin/upstream/agnhost
go build -o bin/ ./tools/lab/cmd/conformance
home=$(mktemp -d)
export GROUNDUP_HOME=$home
inside() {
	trap 'bin/lab down; rmdir "$GROUNDUP_HOME" 2>/dev/null || :' EXIT
	ip link set lo up
	bin/lab up "$step" --no-build
	for archive in bin/upstream/images/*.tar; do
		cp "$archive" "$GROUNDUP_HOME/images/"
		bin/lab shell node-1 -- runtime import "/opt/groundup/images/$(basename "$archive")"
	done
	bin/conformance -kubeconfig "$(bin/lab kubeconfig)" -bind="$bind" ${CONFORMANCE_FLAGS:-} "$list"
}
export -f inside
bind=$([ "$((10#$step))" -lt 3 ] && echo true || echo false)
export step list bind
exec unshare -n bash -euo pipefail -c inside
