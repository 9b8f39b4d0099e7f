# title: What fits nowhere is told why, in the pod itself
# proves: the condition PodScheduled and an event say, node by node, which filter refused
# hint no-event: the condition is there, the event is not: `lab kubectl get events`
# hint: the words are upstream's: 0/N nodes are available
# see: lab kubectl describe pod too-big

setup() {
	kubectl apply -f - <<-YAML
		apiVersion: v1
		kind: Pod
		metadata: {name: too-big}
		spec:
		  containers:
		    - {name: app, image: "groundup.local/web:v1", resources: {requests: {cpu: "100000"}}}
	YAML
}
cleanup() { kubectl delete pod too-big --ignore-not-found --now; }

probe() {
	got=$(kubectl get pod too-big -o 'jsonpath={.spec.nodeName}:{.status.conditions[?(@.type=="PodScheduled")].reason}: {.status.conditions[?(@.type=="PodScheduled")].message}') || return 1
	case $got in
	":Unschedulable: 0/"*" nodes are available: "*"Insufficient cpu"*) ;;
	*) echo "node, reason, message: $got"; return 1 ;;
	esac
	kubectl get events --field-selector involvedObject.name=too-big,reason=FailedScheduling -o name | grep -q . || fail no-event "nobody told of it"
}
