# title: Give a pod a secret
# proves: a volume is how an object becomes a file, and a node sees only the secrets of its pods
# task: Create a secret named door with a key code, and a pod named keeper on node-1 that mounts it at /etc/door and has it mode 0400.
# time: 60s
# hint: lab kubectl explain pod.spec.volumes.secret
# hint no-pod: there is the secret, but no running pod keeper
# hint mode: the file is there; defaultMode decides who may read it
# see: bin/lab kubectl exec keeper -- ls -lL /etc/door

probe() {
	kubectl get secret door -o name >/dev/null 2>&1 || { echo "there is no secret door"; return 1; }
	[ "$(kubectl get pod keeper -o 'jsonpath={.status.phase}' 2>/dev/null)" = Running ] || fail no-pod "keeper does not run"
	mode=$(kubectl exec keeper -- stat -L -c %a /etc/door/code) || return 1
	[ "$mode" = 400 ] || fail mode "/etc/door/code has mode $mode"
}

solve() {
	kubectl create secret generic door --from-literal=code=1234
	kubectl apply -f - <<-YAML
		apiVersion: v1
		kind: Pod
		metadata: {name: keeper}
		spec:
		  nodeName: $NODE
		  terminationGracePeriodSeconds: 0
		  containers:
		    - name: sh
		      image: groundup.local/toolbox:v1
		      command: [sleep, "100000"]
		      volumeMounts: [{name: door, mountPath: /etc/door}]
		  volumes:
		    - name: door
		      secret: {secretName: door, defaultMode: 0400}
	YAML
}
