// Package envsource tells containers, in their environment, where the services are.
//
// A container that starts finds for each service of its namespace variables such as
// WEB_SERVICE_HOST and WEB_SERVICE_PORT, and for the API server, always,
// KUBERNETES_SERVICE_HOST: from those client libraries know that they run in a
// cluster. What changes later does not reach a container that runs, and so DNS has
// taken the place of all but the last.
//
// Upstream: pkg/kubelet/envvars, and getServiceEnvVarMap in kubelet_pods.go.
package envsource

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/replica"
)

// Services knows the services of the cluster. Make it with [New].
type Services struct{ replica *replica.Replica }

// New returns Services, which know nothing before they run.
func New(client kubernetes.Interface) *Services {
	services := client.CoreV1().Services(metav1.NamespaceAll)
	return &Services{replica.New(client, replica.Select("", services.List, services.Watch), &corev1.Service{}, nil, func() {})}
}

// Run watches the services until ctx is done.
func (s *Services) Run(ctx context.Context) error {
	s.replica.Run(ctx)
	return nil
}

// Env returns the variables of the services for the containers of a pod. It is an
// error to ask before the services have been read: a container that started without
// them would have to live without them. A static pod does not wait, as the API
// server may be one.
func (s *Services) Env(pod *corev1.Pod) ([]corev1.EnvVar, error) {
	if !s.replica.HasSynced() && !podsource.IsStatic(pod) {
		return nil, errors.New("services have not yet been read at least once, cannot construct envvars") // upstream's words
	}
	var all []*corev1.Service
	for _, object := range s.replica.List() {
		if service, ok := object.(*corev1.Service); ok {
			all = append(all, service)
		}
	}
	links := pod.Spec.EnableServiceLinks
	return Variables(Select(all, pod.Namespace, links == nil || *links)), nil
}

// Select returns the services that a pod is told about, by name: those of its
// namespace if it wants links, and the API server's. One of its own namespace is
// preferred to that. Services without an address of their own are left out.
func Select(all []*corev1.Service, namespace string, links bool) []*corev1.Service {
	chosen := map[string]*corev1.Service{}
	for _, s := range all {
		ip := s.Spec.ClusterIP
		if ip == "" || ip == corev1.ClusterIPNone || len(s.Spec.Ports) == 0 {
			continue
		}
		master := s.Namespace == corev1.NamespaceDefault && s.Name == "kubernetes"
		switch {
		case links && s.Namespace == namespace:
			chosen[s.Name] = s
		case master && chosen[s.Name] == nil:
			chosen[s.Name] = s
		}
	}
	var services []*corev1.Service
	for _, s := range chosen {
		services = append(services, s)
	}
	slices.SortFunc(services, func(a, b *corev1.Service) int { return strings.Compare(a.Name, b.Name) })
	return services
}

// Variables returns what a container is told of the services: their address and
// ports, and the same once more as Docker's links did.
func Variables(services []*corev1.Service) []corev1.EnvVar {
	var env []corev1.EnvVar
	for _, s := range services {
		set := func(name, value string) {
			env = append(env, corev1.EnvVar{Name: variable(s.Name) + name, Value: value})
		}
		ip := s.Spec.ClusterIP
		set("_SERVICE_HOST", ip)
		set("_SERVICE_PORT", decimal(s.Spec.Ports[0].Port))
		for _, p := range s.Spec.Ports {
			if p.Name != "" {
				set("_SERVICE_PORT_"+variable(p.Name), decimal(p.Port))
			}
		}
		for i, p := range s.Spec.Ports {
			protocol := strings.ToLower(string(p.Protocol))
			if protocol == "" {
				protocol = "tcp"
			}
			url := protocol + "://" + net.JoinHostPort(ip, decimal(p.Port))
			if i == 0 {
				set("_PORT", url)
			}
			prefix := "_PORT_" + decimal(p.Port) + "_" + strings.ToUpper(protocol)
			set(prefix, url)
			set(prefix+"_PROTO", protocol)
			set(prefix+"_PORT", decimal(p.Port))
			set(prefix+"_ADDR", ip)
		}
	}
	return env
}

// variable is a name as a variable has it.
func variable(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }

func decimal(port int32) string { return strconv.Itoa(int(port)) }
