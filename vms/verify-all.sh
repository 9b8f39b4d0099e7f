#!/usr/bin/env bash
# Verifies every step on Debian's kernel with cgroup v2, all in one machine; what
# is given as arguments is run there afterwards. It says how long each part took.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t steps < <(bin/lab list | sed 's/-.*//')
for step in "${steps[@]}"; do
  bin/lab build "$step"
done
bin/vm/vm image
bin/vm/vm run --systemd --memory 3072 --repo -- vms/verify.sh "${steps[@]}"
