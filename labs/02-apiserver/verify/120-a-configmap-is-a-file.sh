# title: A changed ConfigMap changes the file in the pod
# proves: a volume is a directory that the kubelet writes, and goes on writing
# time: 90s
# hint old: the kubelet watches the ConfigMaps of its pods; see `lab logs kubelet`
# see: lab kubectl exec reads -- cat /etc/app/color

setup() {
	kubectl create configmap paint --from-literal=color=red
	kubectl apply -f - <<-YAML
		apiVersion: v1
		kind: Pod
		metadata: {name: reads}
		spec:
		  nodeName: $NODE
		  terminationGracePeriodSeconds: 0
		  containers:
		    - name: sh
		      image: groundup.local/toolbox:v1
		      command: [sleep, "100000"]
		      volumeMounts: [{name: app, mountPath: /etc/app}]
		  volumes: [{name: app, configMap: {name: paint}}]
	YAML
}
cleanup() { kubectl delete pod/reads configmap/paint --ignore-not-found; }

probe() {
	color=$(kubectl exec reads -- cat /etc/app/color) || return 1
	if [ ! -e changed ]; then
		[ "$color" = red ] || { echo "color is $color"; return 1; }
		kubectl patch configmap paint -p '{"data":{"color":"blue"}}' && touch changed
		return 1
	fi
	[ "$color" = blue ] || fail old "color is still $color"
}
