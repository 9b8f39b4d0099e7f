// Package admission decides whether a pod may run on this node.
//
// A scheduler picks nodes by what it knows; the node has the last word. Who is
// refused here gets the phase Failed and is never tried again: static pods were
// not asked for by a scheduler at all. Upstream: pkg/kubelet/lifecycle/predicate.go
// and the scheduler's noderesources plugin.
package admission

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/cgroup"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
)

// Admit returns why the pod may not run beside the others, or nil.
func Admit(node criconfig.Node, maxPods int, pod *corev1.Pod, others []*corev1.Pod) *criconfig.Rejection {
	if refused := criconfig.Admit(node, pod); refused != nil {
		return refused
	}
	if refused := restartAll(pod); refused != nil {
		return refused
	}
	if refused := Room(node.Allocatable, maxPods, pod, others); refused != nil {
		return refused
	}
	return hostPorts(pod, others)
}

// Room returns why there is no room for the pod beside the others, or nil.
func Room(allocatable corev1.ResourceList, maxPods int, pod *corev1.Pod, others []*corev1.Pod) *criconfig.Rejection {
	var cpu, memory int64
	for _, o := range others {
		c, m := cgroup.Requests(o)
		cpu, memory = cpu+c, memory+m
	}
	wantCPU, wantMemory := cgroup.Requests(pod)
	for _, r := range []struct {
		name                  string
		want, used, available int64
	}{
		{"pods", 1, int64(len(others)), int64(maxPods)},
		{"cpu", wantCPU, cpu, allocatable.Cpu().MilliValue()},
		{"memory", wantMemory, memory, allocatable.Memory().Value()},
	} {
		if r.want > 0 && r.used+r.want > r.available {
			return &criconfig.Rejection{Reason: "OutOf" + r.name, Message: fmt.Sprintf(
				"Node didn't have enough resource: %s, requested: %d, used: %d, capacity: %d", r.name, r.want, r.used, r.available)}
		}
	}
	return nil
}

// restartAll: a rule that restarts the whole pod is refused, as a pod that
// counts on it would not come back.
func restartAll(pod *corev1.Pod) *criconfig.Rejection {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, c := range list {
			if slices.ContainsFunc(c.RestartPolicyRules, func(r corev1.ContainerRestartRule) bool {
				return r.Action == corev1.ContainerRestartRuleActionRestartAllContainers
			}) {
				return &criconfig.Rejection{Reason: "UnsupportedField", Message: fmt.Sprintf(
					"container %q: restartPolicyRules: action RestartAllContainers is not supported here", c.Name)}
			}
		}
	}
	return nil
}

// Warnings returns, one in each line, the fields that the pod sets and this
// kubelet does not honour; "" if it honours all of them. What defaulting, or the
// source of static pods, has set is not the author's wish.
func Warnings(node criconfig.Node, pod *corev1.Pod) string {
	pod = pod.DeepCopy()
	if s := pod.Spec.EnableServiceLinks; s != nil && *s {
		pod.Spec.EnableServiceLinks = nil
	}
	pod.Spec.Tolerations = slices.DeleteFunc(pod.Spec.Tolerations, func(t corev1.Toleration) bool {
		return t == corev1.Toleration{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}
	})
	var lines []string
	for _, e := range criconfig.Unsupported(node, pod) {
		lines = append(lines, e.Field+" "+e.Detail)
	}
	return strings.Join(lines, "\n")
}
