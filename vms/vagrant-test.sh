#!/usr/bin/env bash
# Starts machines by Vagrant on libvirt for real, with a step in them, and removes
# them again. The box is made of Debian packages (vms/local-image.sh). It wants root,
# for libvirtd and for networks, and both are of the test alone: in a network
# namespace, and in folders that are gone afterwards.
#
#   vms/vagrant-test.sh [STEP [NODES]]      01 and 1, if not said
set -euo pipefail
cd "$(dirname "$0")/.."
repo=$PWD step=${1:-01} nodes=${2:-1}

die() {
  echo "vagrant-test: $*" >&2
  exit 1
}

if [ -z "${INSIDE:-}" ]; then
  [ "$(id -u)" = 0 ] || die "this starts libvirtd, which wants root"
  vms/deps.sh libvirt
  bin/lab build "$step"
  IMAGE=$(vms/local-image.sh)
  export IMAGE INSIDE=1
  exec unshare --net --mount "$0" "$step" "$nodes"
fi

ip link set lo up
work=$(mktemp -d)
export GROUNDUP_HOME=$work/home VAGRANT_HOME=$work/vagrant VAGRANT_DOTFILE_PATH=$work/dot
pids=()

finish() {
  status=$?
  [ $status -eq 0 ] || tail -n 30 "$work"/*.log >&2 || true
  bin/lab down || true
  [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" || true
  wait || true
  # dnsmasq is libvirt's, and stays when that goes.
  for file in "$work"/run/libvirt/network/*.pid; do
    [ -e "$file" ] && kill "$(cat "$file")" || true
  done
  umount /run /etc/libvirt /var/lib/libvirt /var/log /var/cache/libvirt 2>/dev/null || true
  rm -rf "$work"
  exit $status
}
trap finish EXIT

# libvirt's folders are ours for the time of the test: the mount namespace is.
for dir in /run /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log; do
  mkdir -p "$work$dir" "$dir"
  mount --bind "$work$dir" "$dir"
done
mkdir -p /var/lib/libvirt/images /run/libvirt /etc/libvirt/qemu/networks
cat >/etc/libvirt/qemu.conf <<'END'
user = "root"
group = "root"
security_driver = "none"
namespaces = []
cgroup_controllers = []
END
virtlogd >"$work/virtlogd.log" 2>&1 &
pids+=($!)
libvirtd >"$work/libvirtd.log" 2>&1 &
pids+=($!)
for _ in $(seq 100); do
  virsh -q list >/dev/null 2>&1 && break
  kill -0 "${pids[1]}" || die "libvirtd has ended"
  read -rt 0.2 <> <(:) || :
done
virsh -q pool-define-as default dir --target /var/lib/libvirt/images
virsh -q pool-start default

# A box is a disk, and a file that says what kind. It has no boot loader: the
# kernel is given beside.
mkdir "$work/box"
ln "$IMAGE/base.qcow2" "$work/box/box.img" 2>/dev/null || cp "$IMAGE/base.qcow2" "$work/box/box.img"
echo '{"provider": "libvirt", "format": "qcow2", "virtual_size": 8}' >"$work/box/metadata.json"
cat >"$work/box/Vagrantfile" <<END
Vagrant.configure("2") do |config|
  config.vm.provider :libvirt do |v|
    v.kernel = "$IMAGE/vmlinuz"
    v.initrd = "$IMAGE/initrd"
    v.cmd_line = "console=ttyS0 net.ifnames=0 mitigations=off groundup=systemd"
  end
end
END
tar -C "$work/box" -cf "$work/groundup.box" .
vagrant box add --name groundup/local "$work/groundup.box"
rm "$work/groundup.box"

export BOX=groundup/local MEMORY=2048
# Without a KVM that boots, the processor is emulated.
bin/vm/vm image | grep -q 'accelerator kvm' || export DRIVER=qemu GROUNDUP_VM_FACTOR=15
began=$SECONDS
bin/lab up "$step" --on vagrant --nodes "$nodes" --no-build
echo "vagrant: $nodes up after $((SECONDS - began)) s"
bin/lab status
bin/lab shell -- uname -a
if config=$(bin/lab kubeconfig 2>/dev/null); then
  # By the forwarded port, as any program of this computer would.
  bin/kubectl --kubeconfig "$config" get nodes -o wide
fi
bin/lab verify
echo "vagrant: verified after $((SECONDS - began)) s"
