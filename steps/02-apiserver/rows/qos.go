package rows

import (
	corev1 "k8s.io/api/core/v1"
)

// qosClass is the pod's class when memory runs out: guaranteed if every container
// limits CPU and memory and requests all of it, best effort if none asks for
// anything, burstable otherwise. A pod with resources of its own goes by these.
// It is decided once, on creation; upstream: pkg/apis/core/helper/qos.
func qosClass(p *corev1.Pod) corev1.PodQOSClass {
	if r := p.Spec.Resources; r != nil && len(r.Requests)+len(r.Limits) > 0 {
		return qosOf(r)
	}
	var class corev1.PodQOSClass
	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			class = both(class, qosOf(&list[i].Resources))
		}
	}
	return both(class, class)
}

func qosOf(r *corev1.ResourceRequirements) corev1.PodQOSClass {
	return both(qosOfOne(r, corev1.ResourceCPU), qosOfOne(r, corev1.ResourceMemory))
}

func qosOfOne(r *corev1.ResourceRequirements, name corev1.ResourceName) corev1.PodQOSClass {
	request, limit := r.Requests[name], r.Limits[name]
	switch {
	case !request.Equal(limit):
		return corev1.PodQOSBurstable
	case request.IsZero():
		return corev1.PodQOSBestEffort
	}
	return corev1.PodQOSGuaranteed
}

// both is the class of two parts that have a class each; "" has none yet.
func both(a, b corev1.PodQOSClass) corev1.PodQOSClass {
	switch {
	case a == "" && b == "":
		return corev1.PodQOSBestEffort
	case a == "" || a == b:
		return b
	}
	return corev1.PodQOSBurstable
}
