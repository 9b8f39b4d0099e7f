# title: Without a certificate it says nothing
# proves: who may see a node's pods is decided by X.509, from the first step on
# hint: the kubelet must ask for client certificates: authentication.x509.clientCAFile in kubelet.yaml
# see: lab get --anonymous /pods

probe() {
	answer=$("$LAB" get --anonymous /pods 2>&1) && { echo "it told a stranger: $answer"; return 1; }
	case $answer in *'401 Unauthorized'*) ;; *) echo "$answer"; return 1 ;; esac
}
