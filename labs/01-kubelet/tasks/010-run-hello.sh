# title: Run a pod of your own
# proves: a file is all it takes
# task: Write a manifest for a pod named hello, with one container from groundup.local/web:v1, into the node's manifest directory.
# time: 30s
# hint: `lab shell`, then write /etc/kubernetes/manifests/hello.yaml; web.yaml beside it is a good start
# hint not-running: the pod is there but does not run; `lab pods` and `lab logs kubelet` say why
# see: lab pods

probe() {
	phase=$(pod hello '{.status.phase}' 2>/dev/null) || { echo "no kubelet runs a pod hello"; return 1; }
	[ "$phase" = Running ] || fail not-running "hello is $phase"
}

solve() {
	manifest hello.yaml <<-'YAML'
		apiVersion: v1
		kind: Pod
		metadata:
		  name: hello
		spec:
		  containers:
		    - name: hello
		      image: groundup.local/web:v1
	YAML
}
