# title: And back: the file system of a machine runs as a container
# proves: Debian as a container is Debian without its kernel, and without anybody who would boot it
# time: 180s
# hint kernel: what runs as a container sees the node's kernel, whatever its files say
# hint: `bin/vm/vm export` writes the image, `runtime import` reads it
# see: lab shell node-1 -- runtime images

name=groundup.local/check-machine:v1
tar=var/tmp/check-machine.tar

setup() {
	mkdir -p "$GROUNDUP_HOME/nodes/$NODE/root/var/tmp"
	"$GROUNDUP_REPO/bin/vm/vm" export $name "$GROUNDUP_HOME/nodes/$NODE/root/$tar" && on runtime import /$tar
}

probe() {
	out=$(on runtime run --rm $name sh -c '. /etc/os-release; echo $ID; test -x /lib/systemd/systemd && uname -r; cat /proc/1/comm') || { echo "$out"; return 1; }
	want=$(printf 'debian\n%s\nsh' "$(on uname -r)")
	[ "$out" = "$want" ] || fail kernel "$out"
}

cleanup() {
	on rm -f /$tar
	on runtime rmi $name
}
