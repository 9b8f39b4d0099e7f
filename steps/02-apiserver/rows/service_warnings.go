package rows

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// serviceWarnings tells of fields that do nothing in this service, or will do
// nothing one day. Upstream: pkg/api/service/warnings.go.
func serviceWarnings(s, _ *corev1.Service) (warnings []string) {
	spec, p := &s.Spec, field.NewPath("spec")
	add := func(condition bool, warning string) {
		if condition {
			warnings = append(warnings, warning)
		}
	}
	addresses := func(field string, list []string) {
		for i, ip := range list {
			warnings = append(warnings, validation.GetWarningsForIP(p.Child(field).Index(i), ip)...)
		}
	}
	_, hints := s.Annotations[corev1.DeprecatedAnnotationTopologyAwareHints]
	headless := spec.Type == corev1.ServiceTypeClusterIP && spec.ClusterIP == corev1.ClusterIPNone
	named := spec.Type == corev1.ServiceTypeExternalName
	external := len(spec.ExternalIPs) > 0

	add(hints, fmt.Sprintf("annotation %s is deprecated, please use %s instead", corev1.DeprecatedAnnotationTopologyAwareHints, corev1.AnnotationTopologyMode))
	if !named && spec.ClusterIP != "" && spec.ClusterIP != corev1.ClusterIPNone {
		addresses("clusterIPs", spec.ClusterIPs)
	}
	add(headless && spec.LoadBalancerIP != "", "spec.loadBalancerIP is ignored for headless services")
	add(headless && external, "spec.externalIPs is ignored for headless services")
	add(headless && spec.SessionAffinity != corev1.ServiceAffinityNone, "spec.SessionAffinity is ignored for headless services")
	addresses("externalIPs", spec.ExternalIPs)
	add(external && !headless && !named, "spec.externalIPs is deprecated and may no longer be implemented in some clusters")
	if spec.LoadBalancerIP != "" {
		warnings = append(warnings, validation.GetWarningsForIP(p.Child("loadBalancerIP"), spec.LoadBalancerIP)...)
	}
	for i, r := range spec.LoadBalancerSourceRanges {
		warnings = append(warnings, validation.GetWarningsForCIDR(p.Child("loadBalancerSourceRanges").Index(i), r)...)
	}
	add(named && external, `spec.externalIPs is ignored when spec.type is "ExternalName"`)
	add(!named && spec.ExternalName != "", `spec.externalName is ignored when spec.type is not "ExternalName"`)
	if d := spec.TrafficDistribution; d != nil {
		add(*d == corev1.ServiceTrafficDistributionPreferClose, `spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"`)
	}
	return warnings
}
