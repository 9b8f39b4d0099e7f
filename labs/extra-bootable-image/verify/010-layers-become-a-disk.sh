# title: An image's layers, put on top of each other, are a disk
# proves: a container image is a file system in pieces, and a config
# time: 60s
# hint: `lab bootable` says what it lacks; `make vm-deps vm` installs and builds that
# hint layers: an image of one layer would not show that layers are merged
# see: lab bootable groundup.local/toolbox:v1 toolbox.qcow2

probe() {
	"$LAB" bootable groundup.local/toolbox:v1 "$PWD/disk.qcow2" >said || { cat said; return 1; }
	grep -q 'a disk of [2-9] layers' said || fail layers "$(cat said)"
	[ "$(head -c 3 disk.qcow2)" = QFI ] || { echo "disk.qcow2 is no qcow2 file"; return 1; }
}
