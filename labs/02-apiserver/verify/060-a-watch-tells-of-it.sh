# title: A watch tells of a change the moment it is made
# proves: nobody polls: who wants to know has said so
# hint: lab kubectl get --raw '/api/v1/namespaces/default/configmaps?watch=1' prints the events as they come

setup() {
	"$LAB" kubectl get --raw '/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=20&fieldSelector=metadata.name%3Dwatched' >events 2>&1 &
	echo $! >watcher
}
cleanup() {
	kill "$(cat watcher)"
	kubectl delete configmap watched --ignore-not-found
}

probe() {
	kubectl get configmap watched >/dev/null 2>&1 || kubectl create configmap watched
	grep -q '"type":"ADDED".*"name":"watched"' events || { echo "the watch said: $(cat events)"; return 1; }
}
