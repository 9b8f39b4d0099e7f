# title: A namespace takes along what is in it
# proves: a finalizer keeps an object until somebody has done their part; here, until the namespace is empty
# time: 30s
# hint left: lab kubectl get namespace room -o yaml says in its conditions what remains
# see: lab kubectl get all,configmaps -n room

setup() {
	kubectl create namespace room
	kubectl create configmap chair -n room
	kubectl delete namespace room --wait=false
}

probe() {
	kubectl get namespace room -o name >out 2>&1 && fail left "room is still there: $(kubectl get namespace room -o 'jsonpath={.status.phase}')"
	grep -q NotFound out || { cat out; return 1; }
	! "$LAB" etcdctl get /registry/configmaps/room/ --prefix --keys-only | grep chair
}
