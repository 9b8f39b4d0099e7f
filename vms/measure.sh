#!/usr/bin/env bash
# Measures what virtual machines cost on this computer, for the table in
# docs/vms.md: seconds, and the memory that qemu has of this computer.
set -euo pipefail
cd "$(dirname "$0")/.."
GROUNDUP_HOME=$(mktemp -d)/home
export GROUNDUP_HOME TIMEFORMAT=%1R
trap 'bin/lab down >/dev/null; rmdir "$(dirname "$GROUNDUP_HOME")"' EXIT

# row WHAT COMMAND…: how long the command takes.
row() {
  local what=$1 log took
  shift
  log=$(mktemp)
  took=$( { time "$@" >"$log" 2>&1; } 2>&1) || { cat "$log" >&2; exit 1; }
  rm "$log"
  printf '| %s | %s s |\n' "$what" "$took"
}

# memory WHAT: of the machine that runs.
memory() {
  local pid
  pid=$(cut -d' ' -f1 /proc/"$(cat "$GROUNDUP_HOME"/qemu/node-1/pid)"/task/*/children | tr -d '\n')
  awk -v what="$1" '/VmRSS/ {printf "| %s | %.2f GB |\n", what, $2 / 1e6}' /proc/"${pid%% *}"/status
}

bin/vm/vm image >/dev/null 2>&1
bin/lab build 01 >/dev/null
row 'boot to the first command, and off' bin/vm/vm run -- true
row 'the same with systemd' bin/vm/vm run --systemd -- true
row '`lab up 01 --on qemu`' bin/lab up 01 --on qemu --no-build
row '`lab verify` there' bin/lab verify
memory 'memory of this computer for that machine of 2 GiB'
reboot() {
  local before
  before=$(bin/lab shell -- cat /proc/sys/kernel/random/boot_id)
  bin/lab shell -- systemctl reboot || :
  until now=$(bin/lab shell -- cat /proc/sys/kernel/random/boot_id 2>/dev/null) && [ "$now" != "$before" ] &&
    [ "$(bin/lab pods web -o '{.status.containerStatuses[0].ready}' 2>/dev/null)" = true ]; do
    read -rt 0.2 <> <(:) || :
  done
}
row 'reboot, until the static pod is ready again' reboot
row 'power cut' bin/vm/vm cut --state "$GROUNDUP_HOME/qemu" node-1
row 'and `lab up` after it' bin/lab up 01 --no-build
row '`lab down`' bin/lab down
bin/lab build 02 >/dev/null
row '`lab up 02 --on qemu --nodes 3`, to three nodes of one API server' bin/lab up 02 --on qemu --nodes 3 --no-build
