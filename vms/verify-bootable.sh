#!/usr/bin/env bash
# Holds labs/extra-bootable-image to what it says, on this computer: its commands
# print what the guide says, its tasks are open before their solutions and done after
# them, and its verification holds. Run it as root; the cluster's network is one of
# its own.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" != inside ]; then
  exec unshare --net "$0" inside
fi
ip link set lo up
GROUNDUP_HOME=$(mktemp -d)/home
export GROUNDUP_HOME
if ! command -v sudo >/dev/null; then # the guide says it to who is not root
  mkdir "$(dirname "$GROUNDUP_HOME")/bin"
  printf '#!/bin/sh\nexec "$@"\n' >"$(dirname "$GROUNDUP_HOME")/bin/sudo"
  chmod +x "$(dirname "$GROUNDUP_HOME")/bin/sudo"
  PATH=$PATH:$(dirname "$GROUNDUP_HOME")/bin
fi
lab=bin/lab name=extra-bootable-image
trap '"$lab" down >/dev/null || echo "verify-bootable: lab down has failed" >&2; rm -rf bin/web.qcow2 toolbox.qcow2 debian.tar "$(dirname "$GROUNDUP_HOME")/bin"; rmdir "$(dirname "$GROUNDUP_HOME")" || true' EXIT

die() {
  echo "verify-bootable: $*" >&2
  exit 1
}

rm -f bin/web.qcow2 toolbox.qcow2
"$lab" up 00 --no-build
"$lab" read --file labs/$name/guide.md --record --check # first: its node has two images
for task in boot-web run-debian; do
  open=$("$lab" tasks $name --once) && die "no task is open"
  grep -q "○ .*  $task" <<<"$open" || die "task $task is done before its solution: $open"
  "$lab" solve $task $name
done
"$lab" tasks $name --once || die "a task is not done by its own solution"
"$lab" verify $name
