package connect

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

var (
	services  = schema.GroupResource{Resource: "services"}
	endpoints = schema.GroupResource{Resource: "endpoints"}
)

// ServiceSubresources are those of services.
func ServiceSubresources(c Config) []resource.Subresource {
	return []resource.Subresource{below("proxy", "ServiceProxyOptions", proxyMethods, c.serviceProxy)}
}

// serviceProxy passes a request on to one of the pods behind a service, as
// [SCHEME:]NAME[:PORT] says, PORT being a number or a name. Where the service leads is
// read from its endpoints, and believed only of pods: whoever may write endpoints
// could else have the API server ask anybody.
//
// Upstream: pkg/registry/core/service/storage/storage.go, ResourceLocation, which reads EndpointSlices.
func (c Config) serviceProxy(w http.ResponseWriter, r *http.Request, t target) error {
	scheme, name, port, ok := utilnet.SplitSchemeNamePort(t.name)
	if !ok {
		return apierrors.NewBadRequest(fmt.Sprintf("invalid service request %q", t.name))
	}
	if number, err := strconv.ParseInt(port, 10, 64); err == nil {
		if port, err = portName(r.Context(), t, name, number); err != nil {
			return err
		}
	}
	host, err := endpoint(r.Context(), t, name, port)
	if err != nil {
		return err
	}
	pass(w, r, t.path(r, "services"), c.Kubelets.proxy, &url.URL{Scheme: scheme, Host: host})
	return nil
}

// portName is what the service calls the port of a number.
func portName(ctx context.Context, t target, name string, number int64) (string, error) {
	obj, err := t.server.Get(ctx, services, t.namespace, name)
	if err != nil {
		return "", err
	}
	for _, p := range obj.(*corev1.Service).Spec.Ports {
		if int64(p.Port) == number {
			return p.Name, nil
		}
	}
	return "", apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %d found for service %q", number, name))
}

// endpoint chooses one of the addresses behind the service's port, HOST:PORT.
func endpoint(ctx context.Context, t target, name, port string) (string, error) {
	none := apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", name))
	obj, err := t.server.Get(ctx, endpoints, t.namespace, name)
	if apierrors.IsNotFound(err) {
		return "", none
	}
	if err != nil {
		return "", err
	}
	candidates := behind(obj.(*corev1.Endpoints), port)
	rand.Shuffle(len(candidates), func(i, j int) { candidates[i], candidates[j] = candidates[j], candidates[i] })
	for _, a := range candidates {
		if isPod(ctx, t, a.EndpointAddress) {
			return net.JoinHostPort(a.IP, a.port), nil
		}
	}
	return "", none
}

type candidate struct {
	corev1.EndpointAddress
	port string
}

// behind lists the ready addresses of a port's name.
func behind(e *corev1.Endpoints, port string) (all []candidate) {
	for _, s := range e.Subsets {
		for _, p := range s.Ports {
			if p.Name != port {
				continue
			}
			for _, a := range s.Addresses {
				all = append(all, candidate{a, strconv.Itoa(int(p.Port))})
			}
		}
	}
	return all
}

// isPod says whether the address is that of the pod of this namespace that it refers to.
func isPod(ctx context.Context, t target, a corev1.EndpointAddress) bool {
	if a.TargetRef == nil || a.TargetRef.Kind != "Pod" || a.TargetRef.Namespace != t.namespace || !proxyable(a.IP) {
		return false
	}
	obj, err := t.server.Get(ctx, pods, t.namespace, a.TargetRef.Name)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(obj.(*corev1.Pod).Status.PodIPs, func(ip corev1.PodIP) bool { return ip.IP == a.IP })
}
