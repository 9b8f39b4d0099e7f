package printing

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// ServiceColumns are the columns of services.
var ServiceColumns = columns{
	name,
	column("Type", doc(corev1.ServiceSpec{}, "type")),
	column("Cluster-IP", doc(corev1.ServiceSpec{}, "clusterIP")),
	column("External-IP", doc(corev1.ServiceSpec{}, "externalIPs")),
	column("Port(s)", doc(corev1.ServiceSpec{}, "ports")),
	age,
	wide("Selector", doc(corev1.ServiceSpec{}, "selector")),
}

// Service is the line of a service.
func Service(s *corev1.Service) []any {
	ip := none
	if len(s.Spec.ClusterIPs) > 0 {
		ip = s.Spec.ClusterIPs[0]
	}
	return []any{s.Name, string(s.Spec.Type), ip, externalIP(s), or(servicePorts(s.Spec.Ports), none), ageOf(s), labels.FormatLabels(s.Spec.Selector)}
}

func externalIP(s *corev1.Service) string {
	external := strings.Join(s.Spec.ExternalIPs, ",")
	switch s.Spec.Type {
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort:
		return or(external, none)
	case corev1.ServiceTypeLoadBalancer:
		return or(strings.Join(append(balancers(s), s.Spec.ExternalIPs...), ","), "<pending>")
	case corev1.ServiceTypeExternalName:
		return s.Spec.ExternalName
	}
	return unknown
}

func balancers(s *corev1.Service) []string {
	var found []string
	for _, in := range s.Status.LoadBalancer.Ingress {
		if where := or(in.IP, in.Hostname); where != "" {
			found = append(found, where)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func servicePorts(ports []corev1.ServicePort) string {
	var texts []string
	for _, p := range ports {
		port := strconv.Itoa(int(p.Port))
		if p.NodePort > 0 {
			port += fmt.Sprintf(":%d", p.NodePort)
		}
		texts = append(texts, fmt.Sprintf("%s/%s", port, p.Protocol))
	}
	return strings.Join(texts, ",")
}

// EndpointsColumns are the columns of endpoints.
var EndpointsColumns = columns{name, column("Endpoints", doc(corev1.Endpoints{}, "subsets")), age}

// Endpoints is the line of endpoints.
func Endpoints(e *corev1.Endpoints) []any { return []any{e.Name, firstEndpoints(e), ageOf(e)} }

// firstEndpoints are three of them, and how many more there are.
func firstEndpoints(e *corev1.Endpoints) string {
	const most = 3
	if len(e.Subsets) == 0 {
		return none
	}
	var all []string
	for _, s := range e.Subsets {
		if len(s.Ports) == 0 {
			for _, a := range s.Addresses {
				all = append(all, a.IP)
			}
		}
		for _, p := range s.Ports {
			for _, a := range s.Addresses {
				all = append(all, net.JoinHostPort(a.IP, strconv.Itoa(int(p.Port))))
			}
		}
	}
	if len(all) > most {
		return fmt.Sprintf("%s + %d more...", strings.Join(all[:most], ","), len(all)-most)
	}
	return strings.Join(all, ",")
}
