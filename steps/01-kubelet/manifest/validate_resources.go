package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (f *findings) resources(r corev1.ResourceRequirements, p *field.Path) {
	huge, computes := false, false
	note := func(name corev1.ResourceName) {
		huge = huge || isHuge(name)
		computes = computes || name == corev1.ResourceCPU || name == corev1.ResourceMemory
	}
	limits, requests := p.Child("limits"), p.Child("requests")
	for _, name := range slices.Sorted(maps.Keys(r.Limits)) {
		note(name)
		f.quantity(name, r.Limits[name], limits.Key(string(name)))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Requests)) {
		note(name)
		want := r.Requests[name]
		f.quantity(name, want, requests.Key(string(name)))
		limit, limited := r.Limits[name]
		switch overcommit := isNative(name) && !isHuge(name); {
		case !limited && !overcommit:
			f.required(limits, "Limit must be set for non overcommitable resources")
		case !limited:
		case !overcommit && want.Cmp(limit) != 0:
			f.invalid(requests, want.String(), fmt.Sprintf("must be equal to %s limit of %s", name, limit.String()))
		case want.Cmp(limit) > 0:
			f.invalid(requests, want.String(), fmt.Sprintf("must be less than or equal to %s limit of %s", name, limit.String()))
		}
	}
	if huge && !computes {
		f.forbidden(p, "HugePages require cpu or memory")
	}
}

// isNative: the name is Kubernetes' own.
func isNative(name corev1.ResourceName) bool {
	return !strings.Contains(string(name), "/") || strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
}

func isHuge(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

// quantity checks one entry of a list of resources.
func (f *findings) quantity(name corev1.ResourceName, q resource.Quantity, p *field.Path) {
	f.resourceName(name, p)
	if q.Sign() < 0 {
		f.list = append(f.list, field.Invalid(p, q.String(), "must be greater than or equal to 0").WithOrigin("minimum"))
	}
	if (standardNames[name] || !isNative(name)) && q.MilliValue()%1000 != 0 {
		f.invalid(p, q, "must be an integer")
	}
	if !isHuge(name) {
		return
	}
	page, err := resource.ParseQuantity(strings.TrimPrefix(string(name), corev1.ResourceHugePagesPrefix))
	if err == nil && page.Value() > 0 && q.Value()%page.Value() != 0 {
		f.invalid(p, q.String(), fmt.Sprintf("%s is not positive integer multiple of %s", q.String(), name))
	}
}

// resourceName: a native resource, huge pages, or a name with a domain that is
// not Kubernetes' own.
func (f *findings) resourceName(name corev1.ResourceName, p *field.Path) {
	if bad := validation.IsQualifiedName(string(name)); len(bad) > 0 {
		f.invalid(p, name, bad...)
		f.invalid(p, name, "doesn't follow extended resource name standard")
		return
	}
	switch name {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return
	}
	domain, _, qualified := strings.Cut(string(name), "/")
	switch {
	case isHuge(name):
	case !qualified:
		if _, standard := standardNames[name]; !standard {
			f.invalid(p, name, "must be a standard resource type or fully qualified")
		}
		f.invalid(p, name, "must be a standard resource for containers")
	case strings.HasSuffix(domain, "kubernetes.io"):
	case strings.HasPrefix(string(name), "requests."):
		f.invalid(p, name, "doesn't follow extended resource name standard")
	}
}

// standardNames are resources that exist, and that a container can't ask for, and
// whether they come in whole numbers alone.
var standardNames = map[corev1.ResourceName]bool{
	corev1.ResourceRequestsCPU: false, corev1.ResourceRequestsMemory: false, corev1.ResourceRequestsEphemeralStorage: false,
	corev1.ResourceLimitsCPU: false, corev1.ResourceLimitsMemory: false, corev1.ResourceLimitsEphemeralStorage: false,
	corev1.ResourceStorage: false, corev1.ResourceRequestsStorage: false,
	corev1.ResourcePods: true, corev1.ResourceQuotas: true, corev1.ResourceServices: true, corev1.ResourceReplicationControllers: true,
	corev1.ResourceSecrets: true, corev1.ResourceConfigMaps: true, corev1.ResourcePersistentVolumeClaims: true,
	corev1.ResourceServicesNodePorts: true, corev1.ResourceServicesLoadBalancers: true,
}
