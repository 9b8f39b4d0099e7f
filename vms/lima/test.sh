#!/usr/bin/env bash
# Starts machines by Lima for real, with a step in them, and removes them again. The
# image is made of Debian packages (vms/local-image.sh), so the machine needs no
# network. limactl refuses root: then an ordinary user is made for the time of the
# test.
#
#   vms/lima/test.sh [STEP [NODES]]      01 and 1, if not said
set -euo pipefail
cd "$(dirname "$0")/../.."
repo=$PWD
if [ "${1:-}" != as-user ]; then
  vms/deps.sh
  vms/validate.sh
  export STEP=${1:-01} NODES=${2:-1}
  bin/lab build "$STEP"
  image=$(vms/local-image.sh)
  ACCEL=$(bin/vm/vm image | sed -n 's/^accelerator \([a-z]*\).*/\1/p')
  export ACCEL IMAGE=$image
  if [ "$(id -u)" != 0 ]; then
    exec "$0" as-user
  fi
  home=$(mktemp -d)
  user=groundup-lima
  trap 'userdel $user; rm -rf "$home"' EXIT
  useradd --home-dir "$home" --no-create-home --shell /bin/bash $user
  chown $user "$home"
  env -i PATH="$PATH" ACCEL="$ACCEL" IMAGE="$image" STEP="$STEP" NODES="$NODES" HOME="$home" USER=$user LOGNAME=$user TMPDIR="$home" \
    setpriv --reuid=$user --regid=$user --clear-groups --inh-caps=-all "$0" as-user
  exit
fi

work=$(mktemp -d)
export LIMA_HOME=$work/lima GROUNDUP_HOME=$work/home LIMA_TEMPLATES=$work
export PATH=$repo/bin/vm/lima/bin:$PATH
# Without KVM that boots, lima is to emulate: it takes the machine type from here.
if [ "$ACCEL" = tcg ]; then
  export QEMU_SYSTEM_X86_64="qemu-system-x86_64 -machine q35,accel=tcg,vmport=off"
  export GROUNDUP_VM_FACTOR=15 # a guess: nobody measures Lima's machines
  cpu='cpuType: {x86_64: Nehalem}'
fi
cat >"$work/groundup.yaml" <<END
base: $repo/vms/lima/groundup.yaml
images:
- location: $IMAGE/base.qcow2
  arch: x86_64
  kernel: {location: $IMAGE/vmlinuz, cmdline: console=ttyS0 net.ifnames=0 groundup=systemd}
  initrd: {location: $IMAGE/initrd}
vmType: qemu
firmware: {legacyBIOS: true}
memory: 2GiB
${cpu:-}
END
sed "s|groundup.yaml|groundup-worker.yaml|" "$work/groundup.yaml" >"$work/groundup-worker.yaml"

finish() {
  status=$?
  if [ $status -ne 0 ]; then
    tail -n 40 "$LIMA_HOME"/node-*/{serial*.log,ha.stderr.log} 2>/dev/null || true
  fi
  bin/lab down || true
  rm -rf "$work"
  exit $status
}
trap finish EXIT
began=$SECONDS
bin/lab up "$STEP" --on lima --nodes "$NODES" --no-build
echo "lima: $NODES up after $((SECONDS - began)) s"
bin/lab status
bin/lab shell -- uname -a
if config=$(bin/lab kubeconfig 2>/dev/null); then
  # By the forwarded port, as any program of this computer would.
  bin/kubectl --kubeconfig "$config" get nodes -o wide
fi
bin/lab verify
echo "lima: verified after $((SECONDS - began)) s"
