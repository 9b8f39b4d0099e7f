# title: Logs and exec go through it to the kubelet
# proves: kubectl knows one address only; the API server knows the nodes
# time: 30s
# hint: kubectl says `error dialing backend` when the API server cannot reach the kubelet; `lab kubectl get node -o yaml` has the address

setup() {
	kubectl apply -f - <<-YAML
		apiVersion: v1
		kind: Pod
		metadata: {name: talks}
		spec:
		  nodeName: $NODE
		  terminationGracePeriodSeconds: 0
		  containers:
		    - {name: sh, image: "groundup.local/toolbox:v1", command: [sh, -c, "echo said; exec sleep 100000"]}
	YAML
}
cleanup() { kubectl delete pod talks --ignore-not-found; }

probe() {
	[ "$(kubectl logs talks)" = said ] || return 1
	[ "$(echo asked | kubectl exec -i talks -- cat)" = asked ]
}
