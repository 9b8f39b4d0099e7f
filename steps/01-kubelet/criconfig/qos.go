package criconfig

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// QOS returns the pod's class (docs: "Pod Quality of Service Classes"):
// guaranteed when every container limits CPU and memory and requests all of
// it, best effort when none requests or limits anything, burstable otherwise.
func QOS(pod *corev1.Pod) corev1.PodQOSClass {
	guaranteed, bestEffort := true, true
	for c := range containers(pod) {
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			limit, request := c.Resources.Limits[name], request(c, name)
			if limit.IsZero() || limit.Cmp(request) != 0 {
				guaranteed = false
			}
			if !limit.IsZero() || !request.IsZero() {
				bestEffort = false
			}
		}
	}
	switch {
	case bestEffort:
		return corev1.PodQOSBestEffort
	case guaranteed:
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}

// request is what a container asks for: where it sets a limit only, that is
// its request too (API defaulting).
func request(c *corev1.Container, name corev1.ResourceName) resource.Quantity {
	if q, ok := c.Resources.Requests[name]; ok {
		return q
	}
	return c.Resources.Limits[name]
}

// oomScoreAdj tells the kernel whom to kill first when memory runs out: best
// effort before burstable before guaranteed, and among burstable ones those
// with the smaller part of the node's memory requested, as they are the likeliest to
// use more than they asked for. Upstream: pkg/kubelet/qos/policy.go.
func oomScoreAdj(node Node, pod *corev1.Pod, c *corev1.Container) int64 {
	const guaranteed, bestEffort = -997, 1000
	if pod.Spec.PriorityClassName == "system-node-critical" {
		return guaranteed
	}
	switch QOS(pod) {
	case corev1.PodQOSGuaranteed:
		return guaranteed
	case corev1.PodQOSBestEffort:
		return bestEffort
	}
	score := memoryScore(node, c)
	if sidecar(c) { // it must not die before those that it serves
		for i := range pod.Spec.Containers {
			score = min(score, memoryScore(node, &pod.Spec.Containers[i]))
		}
	}
	return min(max(score, 1000+guaranteed), bestEffort-1)
}

func memoryScore(node Node, c *corev1.Container) int64 {
	memory, capacity := request(c, corev1.ResourceMemory), node.Capacity[corev1.ResourceMemory]
	if capacity.Value() == 0 {
		return 1000
	}
	return 1000 - 1000*memory.Value()/capacity.Value()
}

func sidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}
