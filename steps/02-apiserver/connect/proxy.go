package connect

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/proxy"
)

// podProxy passes HTTP on to a pod: NAME, NAME:PORT or SCHEME:NAME:PORT; without
// a port, to the first that the pod declares.
func (c Config) podProxy(w http.ResponseWriter, r *http.Request, t target) error {
	scheme, name, port, ok := utilnet.SplitSchemeNamePort(t.name)
	if !ok {
		return apierrors.NewBadRequest(fmt.Sprintf("invalid pod request %q", t.name))
	}
	pod, err := target{t.server, t.namespace, name}.pod(r)
	if err != nil {
		return err
	}
	if port == "" {
		port = firstPort(&pod.Spec)
	}
	if !proxyable(pod.Status.PodIP) {
		return apierrors.NewBadRequest("address not allowed")
	}
	pass(w, r, t.path(r, "pods"), c.Kubelets.proxy, &url.URL{Scheme: scheme, Host: hostPort(pod.Status.PodIP, port)})
	return nil
}

// nodeProxy passes HTTP on to a kubelet, or to another port of its node, to which
// it does not show the certificate that kubelets trust.
func (c Config) nodeProxy(w http.ResponseWriter, r *http.Request, t target) error {
	scheme, name, port, ok := utilnet.SplitSchemeNamePort(t.name)
	if !ok {
		return apierrors.NewBadRequest(fmt.Sprintf("invalid node request %q", t.name))
	}
	k, err := c.Kubelets.of(r.Context(), t.server, name)
	if err != nil {
		return err
	}
	if !proxyable(k.host) {
		return apierrors.NewBadRequest("address not allowed")
	}
	if port == "" || port == k.port {
		pass(w, r, t.path(r, "nodes"), c.Kubelets.verified, k.url(nil, ""))
		return nil
	}
	pass(w, r, t.path(r, "nodes"), c.Kubelets.proxy, &url.URL{Scheme: scheme, Host: net.JoinHostPort(k.host, port)})
	return nil
}

// pass also rewrites links in HTML, so that a browser stays behind the proxy.
func pass(w http.ResponseWriter, r *http.Request, path string, transport http.RoundTripper, location *url.URL) {
	location.Path, location.RawQuery = path, r.URL.RawQuery
	proxy.NewUpgradeAwareHandler(location, transport, true, false, responder{}).ServeHTTP(w, r)
}

// path is what follows /proxy in the path of the request.
func (t target) path(r *http.Request, resource string) string {
	return pathAfter(r.URL.Path, t.namespace, resource, t.name)
}

func pathAfter(path, namespace, resource, name string) string {
	prefix := "/api/v1/"
	if namespace != "" {
		prefix += "namespaces/" + namespace + "/"
	}
	return strings.TrimPrefix(path, prefix+resource+"/"+name+"/proxy")
}

// proxyable: the loopback and link-local addresses that a pod or node may claim are the
// API server's own, and those of the cloud's metadata service. A name is resolved
// by nobody here, so it is no address.
func proxyable(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsGlobalUnicast()
}

func firstPort(spec *corev1.PodSpec) string {
	for _, c := range spec.Containers {
		if len(c.Ports) > 0 {
			return fmt.Sprint(c.Ports[0].ContainerPort)
		}
	}
	return ""
}

func hostPort(ip, port string) string {
	if port != "" {
		return net.JoinHostPort(ip, port)
	}
	if strings.Contains(ip, ":") {
		return "[" + ip + "]"
	}
	return ip
}
