# title: A pod with a node's name runs there
# proves: the kubelet watches for pods with its own name in spec.nodeName; that is all of it
# time: 30s
# hint: `lab kubectl describe pod bound` shows the events; `lab logs kubelet` what the node did
# see: lab kubectl get pod bound -o wide

setup() {
	kubectl apply -f - <<-YAML
		apiVersion: v1
		kind: Pod
		metadata: {name: bound}
		spec:
		  nodeName: $NODE
		  terminationGracePeriodSeconds: 1
		  containers:
		    - {name: web, image: "groundup.local/web:v1", ports: [{containerPort: 8080}]}
	YAML
}
cleanup() { kubectl delete pod bound --ignore-not-found; }

probe() {
	ip=$(kubectl get pod bound -o 'jsonpath={.status.podIP}') || return 1
	[ -n "$ip" ] || { echo "bound has no address: $(kubectl get pod bound -o 'jsonpath={.status.phase}')"; return 1; }
	"$LAB" get "http://$ip:8080/" | grep -q 'pod bound'
}
