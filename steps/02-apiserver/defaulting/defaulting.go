// Package defaulting fills in what the writer of an object left out, as upstream's
// pkg/apis/*/v1/defaults.go does.
//
// Defaults are set when an object arrives, so that everybody who reads it later,
// and every check, sees it whole; and again when it is read from the store, so that what
// was written before a default existed is whole too. That is why each function
// may be applied any number of times, and why none may depend on anything but
// the object: the same words written tomorrow mean the same.
//
// A pod is defaulted by the kubelet's own package, which needs it for static
// pods; what is added here only an API server does.
package defaulting

import (
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
)

func set[T ~string](field *T, value T) {
	if *field == "" {
		*field = value
	}
}

func setPointer[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

// roundUp gives quantities the precision that the API keeps: thousandths.
func roundUp(lists ...corev1.ResourceList) {
	for _, list := range lists {
		for name, q := range list {
			q.RoundUp(-3)
			list[name] = q
		}
	}
}

// Namespace gives a namespace the label of its own name, by which selectors of
// namespaces can find it, and its phase.
func Namespace(ns *corev1.Namespace) {
	if ns.Name != "" { // not yet known if it is to be generated
		if ns.Labels == nil {
			ns.Labels = map[string]string{}
		}
		ns.Labels[corev1.LabelMetadataName] = ns.Name
	}
	set(&ns.Status.Phase, corev1.NamespaceActive)
}

// Node lets pods have all of a node that says nothing else, and keeps its range of
// addresses and the list of its ranges alike: the one range counts when they differ.
func Node(node *corev1.Node) {
	switch s := &node.Spec; {
	case s.PodCIDR != "" && (len(s.PodCIDRs) == 0 || s.PodCIDRs[0] != s.PodCIDR):
		s.PodCIDRs = []string{s.PodCIDR}
	case s.PodCIDR == "" && len(s.PodCIDRs) > 0:
		s.PodCIDR = s.PodCIDRs[0]
	}
	roundUp(node.Status.Capacity, node.Status.Allocatable)
	if node.Status.Allocatable == nil && node.Status.Capacity != nil {
		node.Status.Allocatable = node.Status.Capacity.DeepCopy()
	}
}

// Secret sets the type, and moves what was written as plain text to the data,
// where it replaces what was there: stringData is for those who write, and is
// never read back.
func Secret(s *corev1.Secret) {
	set(&s.Type, corev1.SecretTypeOpaque)
	if len(s.StringData) > 0 && s.Data == nil {
		s.Data = map[string][]byte{}
	}
	for key, text := range s.StringData {
		s.Data[key] = []byte(text)
	}
	s.StringData = nil
}

// Endpoints sets the protocol of ports.
func Endpoints(e *corev1.Endpoints) {
	for _, subset := range e.Subsets {
		for i := range subset.Ports {
			set(&subset.Ports[i].Protocol, corev1.ProtocolTCP)
		}
	}
}

// LimitRange completes the limits of containers: a limit that is missing is the
// maximum, a request that is missing is the limit, or else the minimum.
func LimitRange(l *corev1.LimitRange) {
	for i := range l.Spec.Limits {
		item := &l.Spec.Limits[i]
		roundUp(item.Max, item.Min, item.Default, item.DefaultRequest, item.MaxLimitRequestRatio)
		if item.Type == corev1.LimitTypeContainer {
			item.Default = completed(item.Default, item.Max)
			item.DefaultRequest = completed(item.DefaultRequest, item.Default, item.Min)
		}
	}
}

// completed adds to a list what it lacks, from the first list that has it.
func completed(list corev1.ResourceList, from ...corev1.ResourceList) corev1.ResourceList {
	if list == nil {
		list = corev1.ResourceList{}
	}
	for _, other := range from {
		for name, q := range other {
			if _, ok := list[name]; !ok {
				list[name] = q.DeepCopy()
			}
		}
	}
	return list
}

// ResourceQuota rounds the quantities.
func ResourceQuota(q *corev1.ResourceQuota) {
	roundUp(q.Spec.Hard, q.Status.Hard, q.Status.Used)
}

// PriorityClass preempts, unless it says that it does not.
func PriorityClass(c *schedulingv1.PriorityClass) {
	setPointer(&c.PreemptionPolicy, corev1.PreemptLowerPriority)
}
