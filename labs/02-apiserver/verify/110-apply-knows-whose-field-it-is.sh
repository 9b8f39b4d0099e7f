# title: Server-side apply knows whose field it is
# proves: managedFields holds an owner for every field; a second one needs to force
# hint: lab kubectl get configmap owned -o yaml --show-managed-fields

cleanup() { kubectl delete configmap owned --ignore-not-found; }

object() {
	printf '{apiVersion: v1, kind: ConfigMap, metadata: {name: owned}, data: {color: %s}}\n' "$1"
}

probe() {
	object red | kubectl apply --server-side --field-manager=first -f - || return 1
	object blue | kubectl apply --server-side --field-manager=second -f - >out 2>&1 && { echo "the second manager took the field without force"; return 1; }
	grep -q 'conflict with "first"' out || { cat out; return 1; }
	object blue | kubectl apply --server-side --field-manager=second --force-conflicts -f - || return 1
	[ "$(kubectl get configmap owned -o 'jsonpath={.data.color}')" = blue ]
}
