# title: What kubectl writes, etcdctl reads
# proves: an object is one key in etcd with JSON under it, and nothing else
# hint: the key is /registry/RESOURCE/NAMESPACE/NAME
# see: lab etcdctl get /registry/configmaps --prefix --keys-only

setup() { kubectl create configmap seen --from-literal=by=kubectl; }
cleanup() { kubectl delete configmap seen --ignore-not-found; }

probe() {
	"$LAB" etcdctl get /registry/configmaps/default/seen --print-value-only >value || return 1
	grep -q '"data":{"by":"kubectl"}' value || { echo "in etcd: $(cat value)"; return 1; }
}
