# title: Without a certificate it says nothing
# proves: who may see a node's pods is decided by X.509, from the first step on
# hint: the kubelet must ask for client certificates: authentication.x509.clientCAFile in kubelet.yaml
# see: lab shell node-1 -- cat /etc/kubernetes/kubelet.yaml

probe() {
	code=$(on curl -sk -o /dev/null -w '%{http_code}' "https://$NODE_IP:10250/pods") || {
		# This machine has no curl: the toolbox's wget is in every node's images.
		code=$(on wget -q --no-check-certificate -S -O /dev/null "https://$NODE_IP:10250/pods" 2>&1 | sed -n 's/.*HTTP[^ ]* \([0-9]*\).*/\1/p')
	}
	[ "$code" = 401 ] || fail open "asked for /pods without a certificate and got status $code, want 401"
}

# hint open: anonymous requests are answered
