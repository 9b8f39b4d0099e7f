#!/usr/bin/env bash
# Holds `lab up --on qemu` to what it promises, on this computer: every node runs
# its static pods, they come back after a reboot and after a power cut, machines
# reach each other, from step 02 on they have one control plane, which may go down
# like any other, and nothing is left at the end, nor when machines are killed.
#
#   vms/verify-on.sh 02 3      step, number of nodes
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

# await SECONDS COMMAND…: poll until it succeeds. The seconds are those of a machine
# whose processor is not emulated.
await() {
  local until=$((SECONDS + $1 * factor)) said
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

# field NODE JSONPATH: of a node, as the API server has it.
field() { "$lab" kubectl get node "$1" -o jsonpath="$2"; }

is_ready() { [ "$(field "$1" '{.status.conditions[?(@.type=="Ready")].status}')" = True ]; }

# reported NODE: the API server has heard of the node since its last boot.
reported() { [ "$(field "$1" '{.status.nodeInfo.bootID}')" = "$(boot_id "$1")" ] && is_ready "$1"; }

# reached NODE: requests find their way from the API server to the node's kubelet.
reached() { [ "$("$lab" kubectl logs "beat-$1")" = "beat-$1 beats" ]; }

container() { "$lab" pods "beat-$1" -o '{.status.containerStatuses[0].containerID}'; }

# serial NODE: of the certificate that the node's kubelet serves with.
serial() { "$lab" shell "$1" -- sha256sum /etc/kubernetes/pki/kubelet.crt; }

# back NODE: what it was before, after it has been down.
back() {
  await 15 runs beat "$1"
  [ -z "$shared" ] || { await 15 reported "$1" && await 15 reached "$1"; }
}

"$lab" up "$step" --on qemu --nodes "$nodes" --no-build
say "$nodes up"
factor=$(bin/vm/vm enter --state "$state" node-1 -- printenv GROUNDUP_VM_FACTOR)
factor=$((${factor%.*} + 1))
shared=$("$lab" kubectl version -o json 2>/dev/null || :) # empty when there is no API server
for n in $(seq "$nodes"); do
  "$lab" shell "node-$n" -- sh -c 'cat >/etc/kubernetes/manifests/beat.yaml' <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: beat}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: beat, image: groundup.local/toolbox:v1, command: [sh, -c, 'echo $(hostname) beats; exec sleep 100000']}]
YAML
done
for n in $(seq "$nodes"); do
  await 15 runs beat "node-$n"
  "$lab" shell "node-$n" -- ping -c1 -W5 "10.99.0.$(((n % nodes) + 1))" >/dev/null || die "node-$n does not reach its neighbour"
done
say "a static pod runs on each, and they reach each other"

last=node-$nodes
if [ -n "$shared" ]; then
  for n in $(seq "$nodes"); do
    await 15 is_ready "node-$n"
    await 15 reached "node-$n"
  done
  addresses=$("$lab" kubectl get pods -o jsonpath='{range .items[*]}{.status.podIP}{"\n"}{end}' | grep . | sort)
  [ -z "$(uniq -d <<<"$addresses")" ] || die "pods share addresses: $addresses"
  "$lab" kubectl get nodes -o wide
  say "they are nodes of one API server, which reaches them"
fi
if [ "$nodes" -gt 1 ]; then
  keys=$("$lab" shell "$last" -- find /etc/kubernetes /var/lib/groundup -name '*.key')
  [ "$keys" = "$(printf '%s\n' /etc/kubernetes/pki/kubelet.key)" ] || die "$last has keys that are not its own: $keys"
  before=$(serial "$last")
  "$lab" certs renew >/dev/null
  [ "$(serial "$last")" != "$before" ] || die "a renewal has not reached $last"
  back "$last"
  say "$last has no other key than its own, and that was renewed"
fi

before=$(boot_id "$last")
"$lab" shell "$last" -- systemctl reboot || : # the connection may end with the machine
await 20 rebooted "$last" "$before"
back "$last"
say "$last has rebooted, and its pod is back"

before=$(boot_id "$last")
bin/vm/vm cut --state "$state" "$last"
"$lab" shell "$last" -- true 2>/dev/null && die "$last answers without power"
if [ "$nodes" -gt 1 ]; then
  runs beat node-1 || die "node-1 has noticed the power cut of $last"
fi
"$lab" up "$step" --no-build
rebooted "$last" "$before" || die "$last was not cut off"
back "$last"
say "$last had its power cut, and its pod is back"

if [ "$nodes" -gt 1 ]; then
  before=$(boot_id node-1) pod=$(container "$last")
  bin/vm/vm cut --state "$state" node-1
  runs beat "$last" || die "$last has noticed the power cut of node-1"
  "$lab" up --no-build
  rebooted node-1 "$before" || die "node-1 was not cut off"
  back node-1
  back "$last"
  [ "$(container "$last")" = "$pod" ] || die "the pod of $last is another one, because node-1 was down"
  say "node-1 had its power cut, and $last went on"
fi

"$lab" verify
pids=$(cat "$state"/node-*/pid)
"$lab" down
ended() { [ ! -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"; } # a zombie is its parent's affair
for pid in $pids; do
  await 10 ended "$pid"
done
[ ! -e "$GROUNDUP_HOME" ] || die "$(find "$GROUNDUP_HOME")"
say "nothing is left"
