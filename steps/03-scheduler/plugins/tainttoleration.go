package plugins

import (
	"slices"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

// TaintToleration keeps pods away from nodes with a taint that they don't
// tolerate: NoSchedule and NoExecute as a rule, PreferNoSchedule as a wish, the
// more such taints the less the node is liked.
type TaintToleration struct{}

var untolerated = framework.RejectForGood("node(s) had untolerated taint(s)")

func (TaintToleration) Name() string { return "TaintToleration" }

func (TaintToleration) Filter(pod *framework.Pod, node *framework.Node) *framework.Status {
	for i := range node.HardTaints {
		if !tolerates(pod, &node.HardTaints[i]) {
			return untolerated
		}
	}
	return nil
}

// Score counts what is to be held against the node; Normalize turns it round.
func (TaintToleration) Score(pod *framework.Pod, node *framework.Node) int64 {
	var against int64
	for i := range node.SoftTaints {
		if !tolerates(pod, &node.SoftTaints[i]) {
			against++
		}
	}
	return against
}

func (TaintToleration) Normalize(_ []*framework.Node, scores []int64) {
	scale(scores)
	for i := range scores {
		scores[i] = framework.MaxScore - scores[i]
	}
}

func (TaintToleration) Alike(a, b *framework.Pod) bool { return tolerateAlike(a, b) }

// tolerateAlike reports whether both pods tolerate the same taints. For how long does
// not matter before a pod is on the node.
func tolerateAlike(a, b *framework.Pod) bool {
	return slices.EqualFunc(a.Spec.Tolerations, b.Spec.Tolerations, func(x, y corev1.Toleration) bool { return x.MatchToleration(&y) })
}

func (TaintToleration) Helps(pod *framework.Pod, event framework.Event) bool {
	if event.Is(framework.SelfTolerates) {
		return true
	}
	return event.Is(framework.NodeAdded|framework.NodeTaints) &&
		toleratesAll(pod, event.NewNode) && (event.OldNode == nil || !toleratesAll(pod, event.OldNode))
}

// toleratesAll reports whether no taint of the node refuses the pod.
func toleratesAll(pod *framework.Pod, node *corev1.Node) bool {
	for i := range node.Spec.Taints {
		taint := &node.Spec.Taints[i]
		if taint.Effect != corev1.TaintEffectPreferNoSchedule && !tolerates(pod, taint) {
			return false
		}
	}
	return true
}

// tolerates reports whether any of the pod's tolerations covers the taint.
// (Operators that compare numbers are alpha in 1.37, and off.)
func tolerates(pod *framework.Pod, taint *corev1.Taint) bool {
	for i := range pod.Spec.Tolerations {
		if pod.Spec.Tolerations[i].ToleratesTaint(klog.Logger{}, taint, false) {
			return true
		}
	}
	return false
}
