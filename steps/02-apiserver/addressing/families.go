package addressing

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// families says which families a service has, and what it asks for in vain. There is one
// range here, and so one family; only a service that has no address of its own, and whose
// endpoints somebody else writes, may have both.
func families(s *corev1.Service, r netip.Prefix) field.ErrorList {
	here, other := corev1.IPv4Protocol, corev1.IPv6Protocol
	if r.Addr().Is6() {
		here, other = other, here
	}
	anybody := s.Spec.ClusterIP == corev1.ClusterIPNone && len(s.Spec.Selector) == 0
	if s.Spec.IPFamilyPolicy == nil {
		policy := corev1.IPFamilyPolicySingleStack
		if anybody {
			policy = corev1.IPFamilyPolicyRequireDualStack
		}
		s.Spec.IPFamilyPolicy = &policy
	}
	if bad := contradictions(&s.Spec, other); len(bad) > 0 {
		return bad
	}
	if !anybody {
		if bad := unavailable(&s.Spec, here); len(bad) > 0 {
			return bad
		}
	}
	if len(s.Spec.IPFamilies) == 0 {
		s.Spec.IPFamilies = []corev1.IPFamily{here}
	}
	if first := s.Spec.IPFamilies[0]; anybody && len(s.Spec.IPFamilies) == 1 && *s.Spec.IPFamilyPolicy != corev1.IPFamilyPolicySingleStack {
		if first == other {
			other = here
		}
		s.Spec.IPFamilies = append(s.Spec.IPFamilies, other)
	}
	return nil
}

// contradictions are between the policy, the families and the addresses that are asked for.
func contradictions(s *corev1.ServiceSpec, foreign corev1.IPFamily) (bad field.ErrorList) {
	if *s.IPFamilyPolicy == corev1.IPFamilyPolicySingleStack {
		refuse := func(what string) {
			bad = append(bad, field.Invalid(spec.Child("ipFamilyPolicy"), s.IPFamilyPolicy,
				fmt.Sprintf("must be 'RequireDualStack' or 'PreferDualStack' when multiple %s are specified", what)))
		}
		if len(s.ClusterIPs) == 2 {
			refuse("cluster IPs")
		}
		if len(s.IPFamilies) == 2 {
			refuse("IP families")
		}
	}
	for i, ip := range s.ClusterIPs {
		address, err := netip.ParseAddr(ip)
		if err == nil && i >= len(s.IPFamilies) && address.Is6() == (foreign == corev1.IPv6Protocol) {
			bad = append(bad, field.Invalid(spec.Child("clusterIPs").Index(i), s.ClusterIPs, string(foreign)+" is not configured on this cluster"))
		}
	}
	return bad
}

// unavailable is what a cluster of one family does not have.
func unavailable(s *corev1.ServiceSpec, here corev1.IPFamily) (bad field.ErrorList) {
	if *s.IPFamilyPolicy == corev1.IPFamilyPolicyRequireDualStack {
		return field.ErrorList{field.Invalid(spec.Child("ipFamilyPolicy"), s.IPFamilyPolicy, "this cluster is not configured for dual-stack services")}
	}
	for i, family := range s.IPFamilies {
		if family != here {
			bad = append(bad, field.Invalid(spec.Child("ipFamilies").Index(i), family, "not configured on this cluster"))
		}
	}
	return bad
}
