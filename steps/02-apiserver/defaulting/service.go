package defaulting

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Service sets the type, and what follows from it.
func Service(s *corev1.Service) {
	set(&s.Spec.Type, corev1.ServiceTypeClusterIP)
	defaultAffinity(&s.Spec)
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		set(&p.Protocol, corev1.ProtocolTCP)
		if p.TargetPort == intstr.FromInt32(0) || p.TargetPort == intstr.FromString("") {
			p.TargetPort = intstr.FromInt32(p.Port)
		}
	}
	defaultTraffic(&s.Spec)
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer {
		setPointer(&s.Spec.AllocateLoadBalancerNodePorts, true)
		for i := range s.Status.LoadBalancer.Ingress {
			if in := &s.Status.LoadBalancer.Ingress[i]; in.IP != "" {
				setPointer(&in.IPMode, corev1.LoadBalancerIPModeVIP)
			}
		}
	}
}

func defaultAffinity(spec *corev1.ServiceSpec) {
	set(&spec.SessionAffinity, corev1.ServiceAffinityNone)
	switch conf := spec.SessionAffinityConfig; {
	case spec.SessionAffinity == corev1.ServiceAffinityNone:
		spec.SessionAffinityConfig = nil
	case spec.SessionAffinity == corev1.ServiceAffinityClientIP && (conf == nil || conf.ClientIP == nil || conf.ClientIP.TimeoutSeconds == nil):
		seconds := corev1.DefaultClientIPServiceAffinitySeconds
		spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &seconds}}
	}
}

// defaultTraffic lets traffic go to all endpoints, wherever it comes from.
func defaultTraffic(spec *corev1.ServiceSpec) {
	if external(spec) {
		set(&spec.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster)
	}
	switch spec.Type {
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer:
		setPointer(&spec.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster)
	case corev1.ServiceTypeExternalName:
		spec.InternalTrafficPolicy = nil
	}
}

// external: the service has an address or a port that is meant for the world outside.
func external(spec *corev1.ServiceSpec) bool {
	return spec.Type == corev1.ServiceTypeLoadBalancer || spec.Type == corev1.ServiceTypeNodePort ||
		spec.Type == corev1.ServiceTypeClusterIP && len(spec.ExternalIPs) > 0
}
