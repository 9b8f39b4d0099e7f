package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// ServiceUpdate checks a change of a service: what others may have learned of it,
// its addresses, stays.
func ServiceUpdate(s, old *corev1.Service) field.ErrorList {
	f := &findings{}
	f.metaUpdate(&s.ObjectMeta, &old.ObjectMeta)
	if s.Spec.Type != corev1.ServiceTypeExternalName && old.Spec.Type != corev1.ServiceTypeExternalName {
		if !headless(s) || !headless(old) {
			f.keptClusterIPs(&s.Spec, old.Spec.ClusterIPs)
		}
		if !headless(s) && !headless(old) {
			f.keptFamilies(&s.Spec, old.Spec.IPFamilies)
		}
	}
	if balanced(s) && balanced(old) && !equality.Semantic.DeepEqual(s.Spec.LoadBalancerClass, old.Spec.LoadBalancerClass) {
		f.invalid(spec.Child("loadBalancerClass"), s.Spec.LoadBalancerClass, "may not change once set")
	}
	if healthChecked(&s.Spec) && healthChecked(&old.Spec) && s.Spec.HealthCheckNodePort != old.Spec.HealthCheckNodePort {
		f.forbidden(spec.Child("healthCheckNodePort"), immutable)
	}
	f.service(s, old)
	return f.list
}

const onceSet = "may not change once set"

// keptClusterIPs: the second address may come and go, the first may not.
func (f *findings) keptClusterIPs(s *corev1.ServiceSpec, old []string) {
	p := spec.Child("clusterIPs")
	if len(old) == len(s.ClusterIPs) {
		for i, ip := range old {
			if ip != s.ClusterIPs[i] {
				f.invalid(p.Index(i), s.ClusterIPs, onceSet)
			}
		}
		return
	}
	switch {
	case len(old) == 0:
	case len(s.ClusterIPs) == 0:
		f.invalid(p.Index(0), s.ClusterIPs, "primary clusterIP can not be unset")
	case s.ClusterIPs[0] != old[0]:
		f.invalid(p.Index(0), s.ClusterIPs, onceSet)
	}
	if len(old) > len(s.ClusterIPs) && len(s.ClusterIPs) == 1 && !singleStack(s) {
		f.invalid(spec.Child("ipFamilyPolicy"), s.IPFamilyPolicy, "must be set to 'SingleStack' when releasing the secondary clusterIP")
	}
}

// keptFamilies is keptClusterIPs for the families of the addresses.
func (f *findings) keptFamilies(s *corev1.ServiceSpec, old []corev1.IPFamily) {
	first := spec.Child("ipFamilies").Index(0)
	if len(old) == len(s.IPFamilies) {
		for i, ip := range old {
			if ip != s.IPFamilies[i] {
				f.invalid(first, s.IPFamilies, onceSet)
			}
		}
		return
	}
	if len(old) > len(s.IPFamilies) && len(s.ClusterIPs) == 0 {
		f.invalid(first, s.IPFamilies, "primary ipFamily can not be unset")
	}
	if len(old) > 0 && len(s.IPFamilies) > 0 && s.IPFamilies[0] != old[0] {
		f.invalid(first, s.ClusterIPs, onceSet)
	}
	if len(old) > len(s.IPFamilies) && len(s.IPFamilies) == 1 && !singleStack(s) {
		f.invalid(spec.Child("ipFamilyPolicy"), s.IPFamilyPolicy, "must be set to 'SingleStack' when releasing the secondary ipFamily")
	}
}

func singleStack(s *corev1.ServiceSpec) bool {
	return s.IPFamilyPolicy != nil && *s.IPFamilyPolicy == corev1.IPFamilyPolicySingleStack
}

// ServiceStatusUpdate checks what a load balancer says of itself.
func ServiceStatusUpdate(s, old *corev1.Service) field.ErrorList {
	f := &findings{}
	f.metaUpdate(&s.ObjectMeta, &old.ObjectMeta)
	p := field.NewPath("status", "loadBalancer", "ingress")
	if !balanced(s) && len(s.Status.LoadBalancer.Ingress) > 0 {
		f.forbidden(p, "may only be used when `spec.type` is 'LoadBalancer'")
		return f.list
	}
	var before []string
	for _, in := range old.Status.LoadBalancer.Ingress {
		before = append(before, in.IP)
	}
	for i, in := range s.Status.LoadBalancer.Ingress {
		f.ingress(in, before, p.Index(i))
	}
	return f.list
}

func (f *findings) ingress(in corev1.LoadBalancerIngress, before []string, p *field.Path) {
	if in.IP != "" {
		f.add(validation.IsValidIPForLegacyField(p.Child("ip"), in.IP, strict, before))
	}
	switch mode := p.Child("ipMode"); {
	case in.IPMode == nil && in.IP != "":
		f.required(mode, "must be specified when `ip` is set")
	case in.IPMode != nil && in.IP == "":
		f.forbidden(mode, "may not be specified when `ip` is not set")
	case in.IPMode != nil:
		someOf(f, mode, *in.IPMode, corev1.LoadBalancerIPModeProxy, corev1.LoadBalancerIPModeVIP)
	}
	if in.Hostname != "" {
		f.invalid(p.Child("hostname"), in.Hostname, validation.IsDNS1123Subdomain(in.Hostname)...)
		if netutils.ParseIPSloppy(in.Hostname) != nil {
			f.invalid(p.Child("hostname"), in.Hostname, "must be a DNS name, not an IP address")
		}
	}
}
