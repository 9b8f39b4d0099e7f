package framework

import (
	"maps"
	"math/bits"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/component-helpers/resource"
)

// An Action is what happened, one bit each: a change of an object can be
// several things at once.
type Action uint

const (
	// To a pod that is on a node.
	PodAdded Action = 1 << iota
	PodRemoved
	PodRelabelled
	PodScaledDown

	// To the waiting pod itself.
	SelfRelabelled
	SelfScaledDown
	SelfTolerates // it has a new toleration
	SelfUngated   // its last scheduling gate is gone

	// To a node.
	NodeAdded
	NodeRemoved
	NodeAllocatable
	NodeRelabelled
	NodeTaints // or spec.unschedulable

	// Anything: look again, whatever it was. No plugin is asked about it: it
	// has no objects.
	Anything Action = 1<<iota - 1
)

// String is upstream's name of the action, by which metrics count it; of several, of
// the first. Upstream: k8s.io/kube-scheduler/framework, ClusterEvent.Label.
func (a Action) String() string {
	if a == Anything {
		return "*All"
	}
	if first := bits.TrailingZeros(uint(a)); first < len(actions) {
		return actions[first]
	}
	return ""
}

// actions are in the order of their bits.
var actions = [...]string{
	"AssignedPodAdd", "AssignedPodDelete", "AssignedPodUpdatePodLabel", "AssignedPodUpdatePodScaleDown",
	"TargetPodUpdatePodLabel", "TargetPodUpdatePodScaleDown", "TargetPodUpdatePodToleration", "TargetPodUpdatePodSchedulingGatesEliminated",
	"NodeAdd", "NodeDelete", "NodeUpdateNodeAllocatable", "NodeUpdateNodeLabel", "NodeUpdateNodeTaint",
}

// An Event is a change in the cluster that may be good news for a waiting pod.
// Old is nil when something was added, New when it was removed.
type Event struct {
	Action           Action
	OldPod, NewPod   *Pod
	OldNode, NewNode *corev1.Node
}

// Is reports whether any of actions is what happened.
func (e Event) Is(actions Action) bool { return e.Action&actions != 0 }

// PodUpdated returns the event of an update of a pod on a node. Its Action is
// 0 when nothing happened that could matter to others.
func PodUpdated(before, after *Pod) Event {
	e := Event{OldPod: before, NewPod: after}
	if !maps.Equal(before.Labels, after.Labels) {
		e.Action |= PodRelabelled
	}
	if scaledDown(before.Pod, after.Pod) {
		e.Action |= PodScaledDown
	}
	return e
}

// SelfUpdated returns the event of an update of the waiting pod itself. Its
// Action is 0 when nothing happened that could make it schedulable.
func SelfUpdated(before, after *Pod) Event {
	e := Event{OldPod: before, NewPod: after}
	if !maps.Equal(before.Labels, after.Labels) {
		e.Action |= SelfRelabelled
	}
	if scaledDown(before.Pod, after.Pod) {
		e.Action |= SelfScaledDown
	}
	if len(before.Spec.Tolerations) != len(after.Spec.Tolerations) {
		e.Action |= SelfTolerates
	}
	if len(before.Spec.SchedulingGates) > 0 && len(after.Spec.SchedulingGates) == 0 {
		e.Action |= SelfUngated
	}
	return e
}

// NodeUpdated returns the event of an update of a node. Its Action is 0 for
// what happens every few seconds and helps nobody: heartbeats.
func NodeUpdated(before, after *corev1.Node) Event {
	e := Event{OldNode: before, NewNode: after}
	if !equality.Semantic.DeepEqual(before.Status.Allocatable, after.Status.Allocatable) {
		e.Action |= NodeAllocatable
	}
	if !maps.Equal(before.Labels, after.Labels) {
		e.Action |= NodeRelabelled
	}
	if before.Spec.Unschedulable && !after.Spec.Unschedulable ||
		!equality.Semantic.DeepEqual(before.Spec.Taints, after.Spec.Taints) {
		e.Action |= NodeTaints
	}
	return e
}

// scaledDown reports whether the pod asks for less of anything than before.
func scaledDown(before, after *corev1.Pod) bool {
	options := resource.PodResourcesOptions{
		UseStatusResources: true,
		InPlacePodLevelResourcesVerticalScalingEnabled: true,
	}
	now := resource.PodRequests(after, options)
	for name, amount := range resource.PodRequests(before, options) {
		if amount.Cmp(now[name]) > 0 {
			return true
		}
	}
	return false
}
