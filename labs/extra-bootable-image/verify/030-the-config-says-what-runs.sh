# title: What it runs, and how it ended, is the image's affair
# proves: entrypoint, environment and working directory are a runtime's input, whoever the runtime is
# time: 120s
# hint environment: the first program sets the Env of the config, which `runtime inspect` shows
# hint code: the exit code is the last line on the machine's console
# see: lab shell node-1 -- runtime spec groundup.local/toolbox:v1

setup() { "$LAB" bootable groundup.local/toolbox:v1 "$PWD/disk.qcow2" >said || { cat said; return 1; }; }

# what a program sees of its environment, but for what differs by nature
surroundings='pwd; echo $PATH; exit 7'

probe() {
	container=$(on runtime run --rm groundup.local/toolbox:v1 sh -c "$surroundings")
	code=$?
	machine=$("$GROUNDUP_REPO/bin/vm/vm" boot --memory 512 disk.qcow2 -- sh -c "$surroundings")
	[ "$code $?" = '7 7' ] || fail code "container $code, machine $?, want 7"
	[ "$container" = "$machine" ] || fail environment "container: $container, machine: $machine"
}
