package framework

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// A Pod is an API object with everything that plugins ask about parsed once,
// because they ask for every node. It is never changed: an update of the object
// makes a new Pod.
type Pod struct {
	*corev1.Pod

	Priority int32
	Requests Resources
	NonZero  Resources // Requests with a default in place of each missing cpu or memory request
	Ports    []HostPort

	// NodeAffinity is spec.nodeSelector and the required node affinity.
	NodeAffinity nodeaffinity.RequiredNodeAffinity

	// Inter-pod affinity, by its four lists.
	Affinity              []Term
	AntiAffinity          []Term
	PreferredAffinity     []Term
	PreferredAntiAffinity []Term

	// Invalid says which field of the inter-pod affinity cannot be understood.
	Invalid error

	Class Class
}

// NewPod parses an object. The object belongs to the Pod from now on: nobody
// changes it any more. The error is the Pod's Invalid: the Pod is good for
// counting then (its place on a node, its resources), but will not be scheduled.
func NewPod(object *corev1.Pod) (*Pod, error) {
	p := &Pod{
		Pod:          object,
		Ports:        hostPorts(object),
		NodeAffinity: nodeaffinity.GetRequiredNodeAffinity(object),
	}
	if object.Spec.Priority != nil {
		p.Priority = *object.Spec.Priority
	}
	p.Requests, p.NonZero = requests(object)
	if err := p.parseAffinity(); err != nil {
		p.Invalid = fmt.Errorf("pod %s/%s: %w", object.Namespace, object.Name, err)
	}
	p.Class = classOf(object)
	return p, p.Invalid
}

// HasAffinity reports whether the pod has an opinion on where other pods are.
func (p *Pod) HasAffinity() bool {
	return len(p.Affinity)+len(p.AntiAffinity)+len(p.PreferredAffinity)+len(p.PreferredAntiAffinity) > 0
}

// Terminating reports whether the pod has been asked to end.
func (p *Pod) Terminating() bool { return p.DeletionTimestamp != nil }

// A Class stands for all pods that selectors and affinity cannot tell apart:
// same namespace, labels and inter-pod affinity, and all or none of them
// terminating. The thousand pods of a Deployment are one class, so "does this
// selector match?" is a question asked once and not a thousand times. Two
// classes are equal if and only if they are == to each other.
type Class struct {
	key unique.Handle[string]
}

func classOf(pod *corev1.Pod) Class {
	var b strings.Builder
	write := func(s string) {
		b.WriteString(strconv.Itoa(len(s)))
		b.WriteByte(':')
		b.WriteString(s)
	}
	write(pod.Namespace)
	if pod.DeletionTimestamp != nil {
		b.WriteByte('-')
	}
	for _, key := range slices.Sorted(maps.Keys(pod.Labels)) {
		write(key)
		write(pod.Labels[key])
	}
	if a := pod.Spec.Affinity; a != nil && (a.PodAffinity != nil || a.PodAntiAffinity != nil) {
		// These types hold strings and numbers only: there is nothing that
		// cannot be encoded.
		text, _ := json.Marshal([]any{a.PodAffinity, a.PodAntiAffinity})
		b.Write(text)
	}
	return Class{unique.Make(b.String())}
}
