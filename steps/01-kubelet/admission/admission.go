// Package admission decides whether a pod may run on this node.
//
// A scheduler picks nodes by what it knows; the node has the last word. Who is
// refused here gets the phase Failed and is never tried again: static pods were
// not asked for by a scheduler at all. Upstream: pkg/kubelet/lifecycle/predicate.go
// and the scheduler's noderesources plugin.
package admission

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"

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

// Room returns why there is no room for the pod beside the others, or nil. Extended
// resources that the node does not have are not its own to give out.
func Room(allocatable corev1.ResourceList, maxPods int, pod *corev1.Pod, others []*corev1.Pod) *criconfig.Rejection {
	used := corev1.ResourceList{}
	for _, o := range others {
		for name, q := range requests(o) {
			q.Add(used[name])
			used[name] = q
		}
	}
	lacks := func(name corev1.ResourceName, want, used, available int64) *criconfig.Rejection {
		if want == 0 || used+want <= available {
			return nil
		}
		return &criconfig.Rejection{Reason: "OutOf" + string(name), Message: fmt.Sprintf(
			"Node didn't have enough resource: %s, requested: %d, used: %d, capacity: %d", name, want, used, available)}
	}
	if refused := lacks(corev1.ResourcePods, 1, int64(len(others)), int64(maxPods)); refused != nil {
		return refused
	}
	wants := requests(pod)
	for _, name := range inOrder(wants) {
		have, known := allocatable[name]
		if !known && name != corev1.ResourceCPU && name != corev1.ResourceMemory {
			continue
		}
		value := (*resource.Quantity).Value
		if name == corev1.ResourceCPU {
			value = (*resource.Quantity).MilliValue
		}
		want, used := wants[name], used[name]
		if refused := lacks(name, value(&want), value(&used), value(&have)); refused != nil {
			return refused
		}
	}
	return nil
}

func requests(pod *corev1.Pod) corev1.ResourceList {
	return resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
}

// inOrder names the resources in that in which they are looked at: processors, memory,
// then the others.
func inOrder(list corev1.ResourceList) []corev1.ResourceName {
	first := []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory}
	others := slices.DeleteFunc(slices.Sorted(maps.Keys(list)), func(n corev1.ResourceName) bool { return slices.Contains(first, n) })
	return append(first, others...)
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
