#!/usr/bin/env bash
# Installs what building the image and running virtual machines need from Debian's
# packages, where there is apt, and says what it installs and why. Nothing is
# installed twice. `deps.sh vagrant` adds what reads the Vagrantfile, and
# `deps.sh libvirt` what runs it.
set -euo pipefail

# program or file -> package, and what it is for
needs=(
  "qemu-img       qemu-utils        to make disks"
  "mmdebstrap     mmdebstrap        to make the root file system from packages"
  "/usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring  to trust those packages"
  "mke2fs         e2fsprogs         to make disks out of directories"
  "tar            tar               to unpack"
)
case $(uname -m) in
  aarch64) needs+=("qemu-system-aarch64 qemu-system-arm   the machine") ;;
  *)
    needs+=("qemu-system-x86_64 qemu-system-x86   the machine")
    needs+=("/usr/share/seabios/bios-256k.bin seabios  its firmware")
    ;;
esac
if [ "$(id -u)" != 0 ]; then
  needs+=("newuidmap   uidmap            to build the image without being root")
fi
if [ "${1:-}" = vagrant ] || [ "${1:-}" = libvirt ]; then
  needs+=("vagrant     vagrant           to read the Vagrantfile")
  needs+=("/usr/share/doc/vagrant-libvirt vagrant-libvirt  to run it on libvirt")
fi
if [ "${1:-}" = libvirt ]; then
  needs+=("libvirtd    libvirt-daemon-system  to run those machines here")
  needs+=("virsh       libvirt-clients   to set it up")
  needs+=("dnsmasq     dnsmasq-base      to give them addresses")
  needs+=("iptables    iptables          to route for them")
fi

printf '%s\n' "${needs[@]}" | "$(dirname "$0")/../tools/deps.sh" -
