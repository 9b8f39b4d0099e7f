# title: A program of an image runs in a root file system of its own
# proves: a container sees the image's files and none of the node's
# hint: `lab logs runtime` says what failed
# see: lab shell node-1 -- runtime run --rm -it groundup.local/toolbox:v1 sh

probe() {
	out=$(on runtime run --rm groundup.local/toolbox:v1 sh -c 'hostname; id -u; ls /; test ! -e /opt/groundup && echo own root') || { echo "$out"; return 1; }
	echo "$out"
	echo "$out" | grep -q 'own root'
}
