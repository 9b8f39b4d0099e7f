package rows

import (
	corev1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"
)

// completeResources gives a pod that has resources as a whole the requests that
// follow from its containers', or else from its own limits (KEP-2837).
func completeResources(p *corev1.Pod) {
	r := p.Spec.Resources
	if r == nil || len(r.Requests)+len(r.Limits) == 0 {
		return
	}
	ofContainers := resourcehelper.AggregateContainerRequests(p, resourcehelper.PodResourcesOptions{})
	requests := r.Requests.DeepCopy()
	if requests == nil {
		requests = corev1.ResourceList{}
	}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if _, ok := requests[name]; ok {
			continue
		}
		if q, ok := ofContainers[name]; ok {
			requests[name] = q
		} else if q, ok := r.Limits[name]; ok {
			requests[name] = q.DeepCopy()
		}
	}
	if len(requests) > 0 {
		r.Requests = requests
	}
}
