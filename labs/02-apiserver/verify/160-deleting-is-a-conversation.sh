# title: Deleting is a conversation: a wish, a grace period, the end
# proves: the API server writes a deletionTimestamp; the kubelet stops the pod, and only then removes the object
# time: 40s
# hint: lab kubectl get pod ends -o yaml shows the deletionTimestamp while it ends
# see: lab kubectl get pods -w

setup() {
	kubectl apply -f - <<-YAML
		apiVersion: v1
		kind: Pod
		metadata: {name: ends}
		spec:
		  nodeName: $NODE
		  terminationGracePeriodSeconds: 30
		  containers: [{name: sh, image: "groundup.local/toolbox:v1", command: [sh, -c, "trap 'sleep 1; exit 0' TERM; while true; do sleep 0.1; done"]}]
	YAML
}
cleanup() { kubectl delete pod ends --ignore-not-found --now; }

probe() {
	if [ ! -e asked ]; then
		[ "$(kubectl get pod ends -o 'jsonpath={.status.phase}')" = Running ] || return 1
		kubectl delete pod ends --wait=false && touch asked
		[ -n "$(kubectl get pod ends -o 'jsonpath={.metadata.deletionTimestamp}')" ] || { echo "no deletionTimestamp"; return 1; }
		return 1
	fi
	! kubectl get pod ends -o name >out 2>&1 || { echo "ends is still there"; return 1; }
}
