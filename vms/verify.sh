#!/bin/sh
# Runs inside a machine: starts the cluster of each step, verifies it, and takes it
# away, one step after the other. The first that fails ends it.
#
#   vms/verify.sh 00 01        the steps are built already
set -eu
cd "$(dirname "$0")/.."
for step in "$@"; do
	start=$(date +%s)
	bin/lab up "$step" --no-build
	bin/lab verify
	bin/lab down
	echo "step $step holds on Linux $(uname -r), $(stat -fc %T /sys/fs/cgroup): $(($(date +%s) - start)) s"
done
