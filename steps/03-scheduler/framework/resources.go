package framework

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"
)

// Resources are amounts as plain numbers: a quantity that is a string inside
// would have to be parsed for every node.
type Resources struct {
	MilliCPU         int64
	Memory           int64 // bytes
	EphemeralStorage int64 // bytes

	// Extended has whatever else a node may offer: example.com/gpu, huge
	// pages. Mostly nil.
	Extended map[corev1.ResourceName]int64
}

// NewResources reads an API object's list. Names that a scheduler does not
// count (pods, plain names that are not built in) are left out.
func NewResources(list corev1.ResourceList) Resources {
	var r Resources
	for name, quantity := range list {
		switch {
		case name == corev1.ResourceCPU:
			r.MilliCPU = quantity.MilliValue()
		case name == corev1.ResourceMemory:
			r.Memory = quantity.Value()
		case name == corev1.ResourceEphemeralStorage:
			r.EphemeralStorage = quantity.Value()
		case countable(name):
			r.addExtended(name, quantity.Value())
		}
	}
	return r
}

// Equal reports whether both are the same amounts.
func (r *Resources) Equal(other *Resources) bool {
	return r.MilliCPU == other.MilliCPU && r.Memory == other.Memory && r.EphemeralStorage == other.EphemeralStorage &&
		maps.Equal(r.Extended, other.Extended)
}

// Of returns the amount of one resource: thousandths for cpu, else whole units.
func (r *Resources) Of(name corev1.ResourceName) int64 {
	switch name {
	case corev1.ResourceCPU:
		return r.MilliCPU
	case corev1.ResourceMemory:
		return r.Memory
	case corev1.ResourceEphemeralStorage:
		return r.EphemeralStorage
	}
	return r.Extended[name]
}

// Zero reports whether nothing at all is asked for, not even an amount of 0 of
// an extended resource.
func (r *Resources) Zero() bool {
	return r.MilliCPU == 0 && r.Memory == 0 && r.EphemeralStorage == 0 && len(r.Extended) == 0
}

// add adds sign (1 or -1) times o.
func (r *Resources) add(o *Resources, sign int64) {
	r.MilliCPU += sign * o.MilliCPU
	r.Memory += sign * o.Memory
	r.EphemeralStorage += sign * o.EphemeralStorage
	for name, amount := range o.Extended {
		r.addExtended(name, sign*amount)
	}
}

func (r *Resources) addExtended(name corev1.ResourceName, amount int64) {
	if r.Extended == nil {
		r.Extended = map[corev1.ResourceName]int64{}
	}
	r.Extended[name] += amount
}

func (r Resources) clone() Resources {
	r.Extended = maps.Clone(r.Extended)
	return r
}

// countable reports whether a name other than the built-in ones is a resource
// of nodes. A name of the form requests.… is a quota's.
func countable(name corev1.ResourceName) bool {
	s := string(name)
	return strings.HasPrefix(s, corev1.ResourceHugePagesPrefix) ||
		strings.HasPrefix(s, corev1.ResourceAttachableVolumesPrefix) ||
		strings.Contains(s, corev1.ResourceDefaultNamespacePrefix) ||
		strings.Contains(s, "/") && !strings.HasPrefix(s, corev1.DefaultResourceRequestsPrefix)
}

// What a container counts for in scores when it asks for nothing: pods that
// make no requests would otherwise all pile up on one node.
const (
	defaultMilliCPU = 100
	defaultMemory   = 200 * 1024 * 1024
)

// requests returns what the pod takes from its node: the larger of all its
// containers together and of each step of its initialization, sidecars
// included, plus overhead; or what the pod asks for as a whole. A pod whose
// resize is under way counts with the larger size.
//
// nonZero is the same with a default in place of each cpu or memory request
// that is missing.
func requests(pod *corev1.Pod) (actual, nonZero Resources) {
	options := resourcehelper.PodResourcesOptions{
		UseStatusResources: true,
		InPlacePodLevelResourcesVerticalScalingEnabled: true,
	}
	list := resourcehelper.PodRequests(pod, options)
	actual = NewResources(list)

	podLevel := resourcehelper.IsPodLevelRequestsSet(pod)
	missing := func(name corev1.ResourceName) bool {
		if _, set := list[name]; podLevel && set {
			return false
		}
		return len(pod.Status.ContainerStatuses) > 0 || // and what they say may be what counts
			slices.ContainsFunc(slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers), func(c corev1.Container) bool {
				_, set := c.Resources.Requests[name]
				return !set
			})
	}
	defaults := corev1.ResourceList{}
	if missing(corev1.ResourceCPU) {
		defaults[corev1.ResourceCPU] = *resource.NewMilliQuantity(defaultMilliCPU, resource.DecimalSI)
	}
	if missing(corev1.ResourceMemory) {
		defaults[corev1.ResourceMemory] = *resource.NewQuantity(defaultMemory, resource.BinarySI)
	}
	nonZero = actual
	if len(defaults) > 0 {
		options.NonMissingContainerRequests = defaults
		nonZero = NewResources(resourcehelper.PodRequests(pod, options))
	}
	return actual, nonZero
}
