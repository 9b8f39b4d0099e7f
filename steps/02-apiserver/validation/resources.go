package validation

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// counted are resources that come in whole numbers: objects of the API.
var counted = sets.New(corev1.ResourcePods, corev1.ResourceQuotas, corev1.ResourceServices, corev1.ResourceReplicationControllers,
	corev1.ResourceSecrets, corev1.ResourceConfigMaps, corev1.ResourcePersistentVolumeClaims,
	corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers)

// quotas are what a resource quota can limit by a name without a domain.
var quotas = counted.Union(sets.New(corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage,
	corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory, corev1.ResourceRequestsStorage, corev1.ResourceRequestsEphemeralStorage,
	corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory, corev1.ResourceLimitsEphemeralStorage))

// standard are all names without a domain.
var standard = quotas.Union(sets.New(corev1.ResourceStorage))

// ofContainers are the names without a domain that a container can ask for.
var ofContainers = sets.New(corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage)

func isHuge(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

func isHugeQuota(name corev1.ResourceName) bool {
	return isHuge(name) || strings.HasPrefix(string(name), corev1.ResourceRequestsHugePagesPrefix)
}

// isNative: the name is Kubernetes' own.
func isNative(name corev1.ResourceName) bool {
	return !strings.Contains(string(name), "/") || strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
}

// isExtended: the name is somebody else's, such as that of a device.
func isExtended(name corev1.ResourceName) bool {
	const requests = corev1.DefaultResourceRequestsPrefix
	return !isNative(name) && !strings.HasPrefix(string(name), requests) && len(validation.IsQualifiedName(requests+string(name))) == 0
}

// overcommits: the requests for it may be less than the limits.
func overcommits(name corev1.ResourceName) bool { return isNative(name) && !isHuge(name) }

const (
	notNegative = "must be greater than or equal to 0"
	notInteger  = "must be an integer"
)

// quantity wants none that is negative, and whole numbers of what can't be divided.
func (f *findings) quantity(name corev1.ResourceName, q resource.Quantity, p *field.Path) {
	if q.Sign() < 0 {
		f.invalid(p, q.String(), notNegative)
	}
	if (counted.Has(name) || isExtended(name)) && q.MilliValue()%1000 != 0 {
		f.invalid(p, q, notInteger)
	}
}

// resourceName wants a name that is known, or has a domain.
func (f *findings) resourceName(name corev1.ResourceName, p *field.Path) {
	if bad := validation.IsQualifiedName(string(name)); len(bad) > 0 {
		f.invalid(p, name, bad...)
		return
	}
	if !strings.Contains(string(name), "/") && !standard.Has(name) && !isHugeQuota(name) {
		f.invalid(p, name, "must be a standard resource type or fully qualified")
	}
}

func (f *findings) containerResource(name corev1.ResourceName, p *field.Path) {
	f.resourceName(name, p)
	switch {
	case !strings.Contains(string(name), "/"):
		if !ofContainers.Has(name) && !isHuge(name) {
			f.invalid(p, name, "must be a standard resource for containers")
		}
	case !isNative(name) && !isExtended(name):
		f.invalid(p, name, "doesn't follow extended resource name standard")
	}
}

func (f *findings) quotaResource(name corev1.ResourceName, p *field.Path) {
	f.resourceName(name, p)
	if !strings.Contains(string(name), "/") && !quotas.Has(name) && !isHugeQuota(name) {
		f.invalid(p, name, "must be a standard resource for quota")
	}
}
