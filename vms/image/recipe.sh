#!/bin/sh
# Makes a root file system and a kernel out of Debian packages:
#
#   recipe.sh SUITE DIRECTORY [PACKAGE,… [SCRIPT]]   leaves base.qcow2, vmlinuz and modules/ there
#
# The script runs at the end, in the new root.
#
# As root, or as a user who has subordinate ids (newuidmap). The mirrors are those
# of this machine's own apt; where it has none of Debian's, mmdebstrap's default.
set -eu
suite=$1 out=$2
# Whoever ends us ends mmdebstrap, too: wait until it has tidied up.
trap 'exit 130' INT TERM

# The tools that the labs and tests call for, besides what minbase brings.
packages=systemd,systemd-sysv,dbus,udev,openssh-server,kmod
packages=$packages,iproute2,iputils-ping,nftables,procps,curl,ca-certificates
packages=$packages,jq,less,tar,xz-utils,strace,sudo${3:+,$3}
kernel=linux-image-cloud-$(dpkg --print-architecture)

apt-get indextargets --format 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(REPO_URI) $(CODENAME) $(COMPONENT)' \
	'Created-By: Packages' 'Origin: Debian' | grep " $suite" >"$out/sources.list" || echo "recipe: no $suite in this machine's apt: taking the default mirror" >&2
mirror=
[ -s "$out/sources.list" ] && mirror=$out/sources.list

# The kernel is unpacked, not installed: nothing makes an initramfs or a boot
# loader of it. tar keeps /lib what it is, a link to usr/lib.
unpack='
	cd /tmp
	image=$(apt-cache depends '$kernel' | sed -n "s/.*Depends: \(linux-image-.*\)/\1/p")
	apt-get download -qq "$image"
	dpkg-deb --fsys-tarfile linux-image-*.deb | tar -x --keep-directory-symlink -C /
	rm linux-image-*.deb
	depmod "$(ls /lib/modules)"
	echo groundup >/etc/hostname
	echo "127.0.0.1 localhost groundup" >/etc/hosts
	passwd -d root >/dev/null
	systemctl -q mask systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer
'${4:-}
mmdebstrap --quiet --variant=minbase --include="$packages" \
	--customize-hook="chroot \"\$1\" sh -euc '$(printf %s "$unpack" | sed "s/'/'\\\\''/g")'" \
	"$suite" "$out/root.tar" $mirror

# The file system wants every owner as he is: with root's rights, or in a user
# namespace that has as many ids.
as_root=
[ "$(id -u)" = 0 ] || as_root='unshare --map-root-user --map-auto'
$as_root sh -euc '
	PATH=$PATH:/sbin:/usr/sbin
	cd "$1"
	mkdir root
	tar -x --xattrs --xattrs-include="*" --exclude="./dev/*" -f root.tar -C root
	cp root/boot/vmlinuz-* vmlinuz
	chmod 644 vmlinuz
	cp -r root/lib/modules/* modules
	rm -r root/boot
	truncate -s 8G base.img
	mke2fs -q -F -t ext4 -L root -J size=16 -E lazy_itable_init=1,root_owner=0:0 -d root base.img
	qemu-img convert -O qcow2 base.img base.qcow2
	rm -r root root.tar base.img
' sh "$out"
