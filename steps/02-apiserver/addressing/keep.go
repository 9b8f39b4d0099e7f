package addressing

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Keep puts back what a service was given before and its writer left out, and
// keeps the address and the list of addresses alike.
func Keep(s, old *corev1.Service) {
	spec, before := &s.Spec, &old.Spec
	addressed := needsAddress(s) && needsAddress(old)
	if addressed && spec.ClusterIP == "" {
		spec.ClusterIP = before.ClusterIP
	}
	if spec.ClusterIP == before.ClusterIP && len(spec.ClusterIPs) == 0 {
		spec.ClusterIPs = before.ClusterIPs
	}
	if spec.ClusterIP != before.ClusterIP && slices.Equal(spec.ClusterIPs, before.ClusterIPs) {
		spec.ClusterIPs = nil
		if spec.ClusterIP != "" {
			spec.ClusterIPs = []string{spec.ClusterIP}
		}
	}
	if addressed && spec.IPFamilyPolicy == nil {
		spec.IPFamilyPolicy = before.IPFamilyPolicy
	}
	if addressed && spec.IPFamilies == nil {
		spec.IPFamilies = before.IPFamilies
	}
	if needsPorts(s) && needsPorts(old) {
		keepPorts(spec.Ports, before.Ports)
	}
	if checked(s) && checked(old) && spec.HealthCheckNodePort == 0 {
		spec.HealthCheckNodePort = before.HealthCheckNodePort
	}
}

// keepPorts gives a port without one the node port that the same port had.
func keepPorts(ports, before []corev1.ServicePort) {
	for i := range ports {
		p := &ports[i]
		at := slices.IndexFunc(before, func(b corev1.ServicePort) bool { return b.Port == p.Port && b.Protocol == p.Protocol })
		used := func(n int32) bool {
			return slices.ContainsFunc(ports, func(b corev1.ServicePort) bool { return b.NodePort == n && b.Protocol == p.Protocol })
		}
		if p.NodePort == 0 && at >= 0 && !used(before[at].NodePort) {
			p.NodePort = before[at].NodePort
		}
	}
}
