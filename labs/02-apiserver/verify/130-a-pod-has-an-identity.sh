# title: A pod has an identity, and may not do much with it
# proves: a token in a volume is a name, signed by the cluster, good for an hour; what it may do is another question
# time: 30s
# hint: lab kubectl exec who -- cat /var/run/secrets/kubernetes.io/serviceaccount/token
# see: lab kubectl auth whoami

setup() {
	kubectl apply -f - <<-YAML
		apiVersion: v1
		kind: Pod
		metadata: {name: who}
		spec:
		  nodeName: $NODE
		  terminationGracePeriodSeconds: 0
		  containers: [{name: sh, image: "groundup.local/toolbox:v1", command: [sleep, "100000"]}]
	YAML
}
cleanup() { kubectl delete pod who --ignore-not-found; }

probe() {
	kubectl exec who -- cat /var/run/secrets/kubernetes.io/serviceaccount/token >token || return 1
	kubectl --kubeconfig=/dev/null --server="https://$NODE_IP:6443" --certificate-authority="$GROUNDUP_HOME/pki/ca.crt" --token="$(cat token)" auth whoami -o 'jsonpath={.status.userInfo.username}' >user || return 1
	[ "$(cat user)" = system:serviceaccount:default:default ] || { echo "the API server takes it for $(cat user)"; return 1; }
	kubectl --kubeconfig=/dev/null --server="https://$NODE_IP:6443" --certificate-authority="$GROUNDUP_HOME/pki/ca.crt" --token="$(cat token)" get secrets >out 2>&1 && { echo "it may read secrets"; return 1; }
	grep -q Forbidden out
}
