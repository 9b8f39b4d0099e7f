# title: Take somebody's place
# proves: priority decides who waits and who goes
# task: Create a priority class named urgent with a value of 1000. Create a pod named lowly that asks for six of the eight processors of fake-6 (nodeSelector kubernetes.io/hostname). Then create a pod named pressing, of that class, that asks for the same. It shall run, and lowly be gone.
# time: 60s
# hint: lab kubectl create priorityclass --help; a pod names its class in spec.priorityClassName
# hint waits: pressing waits; bin/lab why pod/pressing tells what the filters said, and whether anybody could go
# hint roomy: both are there, so nobody had to go: is there room for two?
# see: bin/lab kubectl get events --field-selector reason=Preempted

probe() {
	[ "$(kubectl get priorityclass urgent -o 'jsonpath={.value}' 2>/dev/null)" = 1000 ] || { echo "there is no priority class urgent of 1000"; return 1; }
	node=$(where pressing 2>/dev/null) || { echo "there is no pod pressing"; return 1; }
	[ -n "$node" ] || fail waits "pressing waits: $(refused pressing)"
	kubectl get pod lowly -o name >/dev/null 2>&1 && fail roomy "lowly is on $(where lowly)"
	uid=$(kubectl get pod pressing -o 'jsonpath={.metadata.uid}')
	kubectl get events --field-selector reason=Preempted,involvedObject.name=lowly -o 'jsonpath={.items[*].message}' | grep -qF "$uid" || { echo "pressing has not taken lowly's place: lowly is gone for another reason"; return 1; }
}

solve() {
	"$LAB" fake-nodes 6
	kubectl create priorityclass urgent --value=1000
	for pod in lowly pressing; do
		class=$([ $pod = pressing ] && echo 'priorityClassName: urgent' || echo)
		kubectl apply -f - <<-YAML
			apiVersion: v1
			kind: Pod
			metadata: {name: $pod}
			spec:
			  $class
			  nodeSelector: {kubernetes.io/hostname: fake-6}
			  terminationGracePeriodSeconds: 0
			  containers: [{name: app, image: "groundup.local/web:v1", resources: {requests: {cpu: "6"}}}]
		YAML
		kubectl wait "pod/$pod" --for=condition=PodScheduled --timeout=20s
	done
}
