# title: Run a web server
# proves: an image and a name are all that a container needs
# task: In the node, run a container named shop from groundup.local/web:v1, and leave it running.
# hint: `runtime run --help`; -d leaves it running
# see: lab shell node-1 -- runtime ps

probe() {
	on runtime ps | awk '$2 == "shop" && $4 == "running" {found = 1} END {exit !found}' || { echo "no container named shop runs"; return 1; }
}

solve() {
	on runtime run -d --name shop groundup.local/web:v1
}
