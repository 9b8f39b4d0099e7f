# title: Open a port of the node to it
# proves: a published port is one rule that rewrites the destination of packets
# task: Run a container named front from groundup.local/web:v1 that answers at port 8088 of the node.
# time: 20s
# hint: -p HOSTPORT:PORT; the web server listens on 8080
# see: lab get http://10.89.0.11:8088/

probe() {
	out=$("$LAB" get "http://$NODE_IP:8088/" 2>&1) || { echo "$out"; return 1; }
}

solve() {
	on runtime run -d --name front -p 8088:8080 groundup.local/web:v1
}
