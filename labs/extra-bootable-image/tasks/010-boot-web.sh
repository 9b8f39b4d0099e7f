# title: Boot the web server
# proves: an image that runs as a container runs as a machine, unchanged
# task: Make web.qcow2 in the repository's folder bin/ from groundup.local/web:v1.
# hint: `lab bootable --help`; then see it listen: bin/vm/vm boot bin/web.qcow2, and Ctrl-C
# see: bin/vm/vm boot bin/web.qcow2

probe() {
	[ -e "$GROUNDUP_REPO/bin/web.qcow2" ] || { echo "there is no bin/web.qcow2"; return 1; }
	out=$(timeout -s INT 8 "$GROUNDUP_REPO/bin/vm/vm" boot --memory 512 "$GROUNDUP_REPO/bin/web.qcow2") || :
	case $out in *'web listens on port 8080'*) ;; *) echo "it says: $out"; return 1 ;; esac
}

solve() {
	"$LAB" bootable groundup.local/web:v1 "$GROUNDUP_REPO/bin/web.qcow2"
}
