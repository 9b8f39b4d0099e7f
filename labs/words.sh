# The words that all checks share. A check's functions run in a folder of their
# own, with `set -u`, in any POSIX shell.
#
#   LAB        the lab command            NODE, NODE_IP  the first node
#   MANIFESTS  its manifest directory     STEP           of the running cluster

MANIFESTS=$GROUNDUP_HOME/nodes/$NODE/root/etc/kubernetes/manifests
unset CPU # what paper_pod takes it for is said before it; some systems export another

# fail CAUSE TEXT…: the property does not hold, and this is what was seen.
fail() {
	echo "::cause $1"
	shift
	echo "$*"
	exit 1
}

# on COMMAND…: run a command in the first node.
on() { "$LAB" shell "$NODE" -- "$@"; }

# kubectl ARGUMENTS…: upstream's, as the administrator; from step 02.
kubectl() { "$LAB" kubectl "$@"; }

# pod NAME JSONPATH: a field of a pod, as the kubelet reports it.
pod() { "$LAB" pods "$1" -o "$2"; }

# manifest NAME: put standard input into the manifest directory, whole.
manifest() {
	cat >"$MANIFESTS/.$1.new" && mv "$MANIFESTS/.$1.new" "$MANIFESTS/$1"
}

# unmanifest NAME: take a manifest out, if it is there.
unmanifest() { rm -f "$MANIFESTS/$1"; }

# gone POD: succeed when the kubelet knows no such pod.
gone() {
	names=$("$LAB" pods -o '{.items[*].metadata.name}') || return 1
	case " $names " in *" $1-$NODE "*) return 1 ;; esac
}

# await_gone POD: poll until it is gone; for cleanups.
await_gone() {
	n=0
	until gone "$1"; do
		n=$((n + 1))
		[ $n -lt 100 ] || { echo "pod $1 is still there"; return 1; }
		sleep 0.1
	done
}

# pid POD CONTAINER: the process id of a container, as the node counts.
pid() { "$LAB" xray "$1" --pid "$2"; }

# service NAME: the process id of a service, as the node's init tells it.
service() { "$LAB" status --pid "$1"; }

# paper_node NAME CPU LABELS: a node that is only an object, labelled paper and
# with LABELS ("zone: a, disk: ssd"). What is bound to it never runs, but it is bound.
paper_node() {
	kubectl create -f - <<-YAML
		apiVersion: v1
		kind: Node
		metadata: {name: $1, labels: {paper: "", kubernetes.io/hostname: $1${3:+, $3}}}
		status:
		  capacity: {cpu: "$2", memory: 8Gi, pods: "10"}
		  allocatable: {cpu: "$2", memory: 8Gi, pods: "10"}
		  conditions: [{type: Ready, status: "True", reason: Paper, message: it is only an object}]
	YAML
	# Upstream's API server taints a new node, until its node controller has seen it.
	kubectl patch node "$1" --type=merge -p '{"spec":{"taints":null}}'
}

# [CPU=QUANTITY] paper_pod NAME SPEC LABELS: a pod for such nodes; SPEC is more of its
# spec, in lines of YAML.
paper_pod() {
	cat >"$1.yaml" <<-YAML
		apiVersion: v1
		kind: Pod
		metadata: {name: $1, labels: {paper: ""${3:+, $3}}}
		spec:
		  nodeSelector: {paper: ""}
		  terminationGracePeriodSeconds: 0
		$(printf '%s\n' "${2:-}" | sed 's/^/  /')
		  containers: [{name: app, image: "groundup.local/web:v1", resources: {requests: {cpu: "${CPU:-100m}"}}}]
	YAML
	kubectl create -f "$1.yaml"
}

# no_paper: take away all such pods and nodes.
no_paper() {
	kubectl delete pods -l paper --force --grace-period=0 --wait=false 2>&1
	kubectl delete nodes -l paper --wait=false
}

# container POD: the id of its first container, another one after each start.
container() { kubectl get pod "$1" -o 'jsonpath={.status.containerStatuses[0].containerID}'; }

# where POD: its node, empty when it has none.
where() { kubectl get pod "$1" -o 'jsonpath={.spec.nodeName}'; }

# refused POD: why the scheduler has not bound it.
refused() { kubectl get pod "$1" -o 'jsonpath={.status.conditions[?(@.type=="PodScheduled")].message}'; }

# run_real NAME: a web server on any node that has a machine. It is Ready when its
# kubelet has got an answer from it.
run_real() {
	kubectl create -f - <<-YAML
		apiVersion: v1
		kind: Pod
		metadata: {name: $1}
		spec:
		  affinity:
		    nodeAffinity:
		      requiredDuringSchedulingIgnoredDuringExecution:
		        nodeSelectorTerms: [{matchExpressions: [{key: groundup.local/hollow, operator: DoesNotExist}, {key: paper, operator: DoesNotExist}]}]
		  containers: [{name: $1, image: "groundup.local/web:v1", readinessProbe: {periodSeconds: 1, httpGet: {path: /readyz, port: 8080}}}]
	YAML
}
