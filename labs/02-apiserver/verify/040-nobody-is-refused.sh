# title: Who shows no certificate gets nothing
# proves: every request is somebody's; only health and version are for everybody
# hint: anonymous requests are 401, whatever they ask for

probe() {
	"$LAB" get --anonymous "https://$NODE_IP:6443/api/v1/secrets" >out 2>&1 && { echo "somebody without a certificate could read the secrets"; return 1; }
	grep -q 401 out || { cat out; return 1; }
	[ "$("$LAB" get --anonymous "https://$NODE_IP:6443/livez")" = ok ] || { echo "/livez is not for everybody"; return 1; }
}
