# title: It has an address of its own, and two containers reach each other
# proves: a veth pair and a bridge are all that docker0 was
# time: 20s
# hint: `ip link` in the node shows groundup0 and one veth for each container
# see: lab shell node-1 -- runtime ps

setup() { on runtime run -d --name check-web groundup.local/web:v1; }

probe() {
	ip=$(on runtime ps | awk '$2 == "check-web" {print $NF}')
	[ -n "$ip" ] || { on runtime ps; return 1; }
	! on ip -o -4 addr | grep -F " $ip/" || { echo "$ip is the node's own"; return 1; }
	on runtime run --rm groundup.local/toolbox:v1 wget -q -O - "http://$ip:8080/"
}

cleanup() { on runtime rm -f check-web; }
