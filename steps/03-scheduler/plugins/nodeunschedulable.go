package plugins

import (
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	corev1 "k8s.io/api/core/v1"
)

// NodeUnschedulable keeps pods away from nodes that were cordoned
// (spec.unschedulable), unless they tolerate the taint that says the same.
type NodeUnschedulable struct{}

var (
	cordoned      = framework.RejectForGood("node(s) were unschedulable")
	cordonedTaint = corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
)

func (NodeUnschedulable) Name() string { return "NodeUnschedulable" }

func (NodeUnschedulable) Filter(pod *framework.Pod, node *framework.Node) *framework.Status {
	if node.Spec.Unschedulable && !tolerates(pod, &cordonedTaint) {
		return cordoned
	}
	return nil
}

func (NodeUnschedulable) Alike(a, b *framework.Pod) bool { return tolerateAlike(a, b) }

func (NodeUnschedulable) Helps(pod *framework.Pod, event framework.Event) bool {
	switch {
	case event.Is(framework.SelfTolerates):
		return tolerates(event.NewPod, &cordonedTaint)
	case event.Is(framework.NodeAdded | framework.NodeTaints):
		return !event.NewNode.Spec.Unschedulable && (event.OldNode == nil || event.OldNode.Spec.Unschedulable)
	}
	return false
}
