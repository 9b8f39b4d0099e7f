# title: Run Debian as a container
# proves: a machine's root file system lacks but a config to be an image
# task: Import the machines' root file system into the node as groundup.local/debian:12, and leave a container named debian running from it.
# hint: `bin/vm/vm export NAME FILE.tar`; the node reads files below $GROUNDUP_HOME/nodes/node-1/root, /var/lib/groundup/nodes/node-1/root for most
# see: lab shell node-1 -- runtime ps

probe() {
	on runtime ps | grep -q ' groundup.local/debian:12 .*running' || { echo "no container of groundup.local/debian:12 runs"; return 1; }
	on runtime exec debian grep -q '^ID=debian' /etc/os-release
}

solve() {
	root=$GROUNDUP_HOME/nodes/$NODE/root
	mkdir -p "$root/var/tmp"
	"$GROUNDUP_REPO/bin/vm/vm" export groundup.local/debian:12 "$root/var/tmp/debian.tar"
	on runtime import /var/tmp/debian.tar
	on rm /var/tmp/debian.tar
	on runtime run -d --name debian groundup.local/debian:12 sleep 100000
}
