# title: With a kernel it is a machine, and no longer yours
# proves: a container shares the kernel of its node; this one has booted another
# time: 120s
# hint shared: boot the disk by `bin/vm/vm boot`; a container has the node's boot id
# hint: see what the machine says on its console
# see: bin/vm/vm boot toolbox.qcow2 -- uname -a

setup() { "$LAB" bootable groundup.local/toolbox:v1 "$PWD/disk.qcow2" >said || { cat said; return 1; }; }

probe() {
	id=/proc/sys/kernel/random/boot_id
	[ "$(on runtime run --rm groundup.local/toolbox:v1 cat $id)" = "$(on cat $id)" ] || { echo "a container has a boot id of its own"; return 1; }
	machine=$("$GROUNDUP_REPO/bin/vm/vm" boot --memory 512 disk.qcow2 -- cat $id) || { echo "$machine"; return 1; }
	[ "$machine" != "$(on cat $id)" ] || fail shared "the machine has the node's boot id $machine"
}
