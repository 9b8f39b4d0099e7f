#!/usr/bin/env bash
# All that wants virtual machines and takes too long for `make test`. It goes on
# after a failure, names what has failed at the end, and says how long each took.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=()

run() {
  local began=$SECONDS
  echo "== $*"
  if "$@"; then
    echo "== $*: $((SECONDS - began)) s"
  else
    echo "== $*: FAILED after $((SECONDS - began)) s"
    failed+=("$*")
  fi
}

mapfile -t steps < <(bin/lab list | sed 's/-.*//')
for step in "${steps[@]}"; do
  run bin/lab build "$step"
done
# The runner: snapshots, networks, terminals, power cuts, each way to end it.
run go -C vms test -count=1 -timeout 30m ./machine ./cli -args -boot
# The unit tests that need root, on Debian's kernel with cgroup v2.
run make vm-test
# A node that is the machine itself: under systemd, and under an init that is none.
for step in "${steps[@]}"; do
  run bin/vm/vm run --systemd --memory 3072 --repo -- vms/verify-host.sh "$step"
done
run bin/vm/vm run --memory 3072 --repo -- vms/verify-host.sh 01
# Clusters in machines that stay: reboots and power cuts, and from step 02 on one
# control plane for three.
run vms/verify-on.sh 01 1
run vms/verify-on.sh 02 3
[ "${steps[-1]}" = 02 ] || run vms/verify-on.sh "${steps[-1]}" 3
if [ "$(id -u)" = 0 ]; then
  run vms/verify-bootable.sh
else
  echo "== vms/verify-bootable.sh wants root: not run"
fi
if [ ${#failed[@]} -gt 0 ]; then
  printf 'failed: %s\n' "${failed[@]}" >&2
  exit 1
fi
