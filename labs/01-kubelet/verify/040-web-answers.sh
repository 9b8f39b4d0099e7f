# title: It has an address of its own, and answers there
# proves: a pod's network is one end of a veth pair; this machine routes to it through the node
# parallel: yes
# hint: from the node itself? `lab shell node-1`, then `ip route`
# see: lab xray web

probe() {
	ip=$(pod web '{.status.podIP}')
	[ "$ip" != "$NODE_IP" ] || { echo "the pod has the node's address $ip"; return 1; }
	"$LAB" get "http://$ip:8080/" | grep "web-$NODE"
}
