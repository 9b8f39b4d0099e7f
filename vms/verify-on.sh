#!/usr/bin/env bash
# Holds `lab up --on qemu` to what it promises, on this computer: every node runs
# its static pods, they come back after a reboot and after a power cut, machines
# reach each other, and nothing is left at the end, nor when machines are killed.
#
#   vms/verify-on.sh 01 3      step, number of nodes
set -euo pipefail
cd "$(dirname "$0")/.."
step=$1 nodes=$2
GROUNDUP_HOME=$(mktemp -d)/home
export GROUNDUP_HOME
lab=bin/lab state=$GROUNDUP_HOME/qemu
began=$SECONDS

say() { echo "$((SECONDS - began)) s  $*"; }

die() {
  echo "verify-on: $*" >&2
  exit 1
}

# Whatever happens, no machine stays.
trap '"$lab" down >/dev/null || echo "verify-on: lab down has failed" >&2; rmdir "$(dirname "$GROUNDUP_HOME")" || true' EXIT

# await SECONDS COMMAND…: poll until it succeeds.
await() {
  local until=$((SECONDS + $1)) said
  shift
  while ! said=$("$@" 2>&1); do
    [ $SECONDS -lt $until ] || die "$*: $said"
    read -rt 0.5 <> <(:) || :
  done
}

# runs POD NODE: its one container is ready.
runs() { [ "$("$lab" pods "$1-$2" -o '{.status.containerStatuses[0].ready}')" = true ]; }

boot_id() { "$lab" shell "$1" -- cat /proc/sys/kernel/random/boot_id; }

rebooted() { [ "$(boot_id "$1")" != "$2" ]; }

"$lab" up "$step" --on qemu --nodes "$nodes" --no-build
say "$nodes up"
for n in $(seq "$nodes"); do
  "$lab" shell "node-$n" -- sh -c 'cat >/etc/kubernetes/manifests/beat.yaml' <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: beat}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: beat, image: groundup.local/toolbox:v1, command: [sleep, '100000']}]
YAML
done
for n in $(seq "$nodes"); do
  await 120 runs beat "node-$n"
  "$lab" shell "node-$n" -- ping -c1 -W5 "10.99.0.$(((n % nodes) + 1))" >/dev/null || die "node-$n does not reach its neighbour"
done
say "a static pod runs on each, and they reach each other"

last=node-$nodes
before=$(boot_id "$last")
"$lab" shell "$last" -- systemctl reboot || : # the connection may end with the machine
await 200 rebooted "$last" "$before"
await 120 runs beat "$last"
say "$last has rebooted, and its pod is back"

before=$(boot_id "$last")
bin/vm/vm cut --state "$state" "$last"
"$lab" shell "$last" -- true 2>/dev/null && die "$last answers without power"
if [ "$nodes" -gt 1 ]; then
  runs beat node-1 || die "node-1 has noticed the power cut of $last"
fi
"$lab" up "$step" --no-build
rebooted "$last" "$before" || die "$last was not cut off"
await 120 runs beat "$last"
say "$last had its power cut, and its pod is back"

"$lab" verify
pids=$(cat "$state"/node-*/pid)
"$lab" down
ended() { [ ! -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"; } # a zombie is its parent's affair
for pid in $pids; do
  await 10 ended "$pid"
done
[ ! -e "$GROUNDUP_HOME" ] || die "$(find "$GROUNDUP_HOME")"
say "nothing is left"
