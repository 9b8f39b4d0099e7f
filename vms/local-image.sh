#!/usr/bin/env bash
# Makes, once, the image that the tests of Lima and Vagrant boot in place of one from
# the net: Debian with all that provision.sh would install, cloud-init for the one,
# a user vagrant for the other. It prints the folder: base.qcow2, vmlinuz, initrd.
set -euo pipefail
cd "$(dirname "$0")/.."
packages=cloud-init,sshfs,make,git,gcc,libc6-dev,pkg-config,libseccomp-dev,golang-go,rsync
# The key that every box has at first, which vagrant replaces when it comes in.
key=$(find /usr/share -path '*vagrant*/keys/vagrant.pub' 2>/dev/null | head -n 1)
script='
	cat >/etc/systemd/network/eth0.network <<END
[Match]
Name=eth0
[Network]
DHCP=yes
END
	systemctl -q enable systemd-networkd
	# An emulated machine finds its CD-ROM, where Lima leaves its data, so late that
	# cloud-init would have given up.
	echo "policy: enabled" >/etc/cloud/ds-identify.cfg
	echo "datasource_list: [NoCloud, None]" >/etc/cloud/cloud.cfg.d/90-local.cfg
	printf "virtio_scsi\nsr_mod\nisofs\n" >/etc/modules-load.d/cdrom.conf
	mkdir /etc/systemd/system/cloud-init-local.service.d
	cat >/etc/systemd/system/cloud-init-local.service.d/late.conf <<END
[Unit]
After=systemd-modules-load.service systemd-udev-settle.service
Wants=systemd-udev-settle.service
END
	useradd --create-home --shell /bin/bash vagrant
	echo "vagrant ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/vagrant
	mkdir -m 700 /home/vagrant/.ssh
	echo "'$(cat "${key:-/dev/null}")'" >/home/vagrant/.ssh/authorized_keys
	chown -R vagrant: /home/vagrant/.ssh
'
name=$(printf '%s' "$packages" "$script" | cat vms/image/recipe.sh - | sha256sum | cut -c1-12)
image=$PWD/bin/vm/local-$name
go build -trimpath -o bin/vm/ ./vms/cmd/vm >&2
bin/vm/vm image >&2
if [ ! -e "$image" ]; then
  rm -rf bin/vm/local-*
  mkdir "$image.new"
  sh vms/image/recipe.sh bookworm "$image.new" "$packages" "$script" >&2
  mv "$image.new" "$image"
fi
cp bin/vm/base-*/initrd-* "$image/initrd"
chmod 644 "$image"/*.qcow2 "$image/initrd"
echo "$image"
