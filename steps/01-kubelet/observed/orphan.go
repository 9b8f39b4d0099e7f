package observed

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Spec returns as much of the pod's spec as its containers' annotations tell:
// enough to stop a pod that no source describes any more with its own grace
// period and preStop hooks.
func (p *Pod) Spec() *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: p.UID, Namespace: p.Namespace, Name: p.Name}}
	if s := p.Sandbox(); s != nil {
		pod.Annotations = s.Annotations
	}
	for _, c := range p.Containers {
		if pod.Spec.TerminationGracePeriodSeconds == nil {
			pod.Spec.TerminationGracePeriodSeconds = c.Info.PodGracePeriod
		}
		if slices.ContainsFunc(pod.Spec.Containers, func(k corev1.Container) bool { return k.Name == c.Name }) {
			continue
		}
		spec := corev1.Container{Name: c.Name, Image: c.Image, Ports: c.Info.ContainerPorts} // a hook may name one
		if c.Info.PreStop != nil {
			spec.Lifecycle = &corev1.Lifecycle{PreStop: c.Info.PreStop}
		}
		pod.Spec.Containers = append(pod.Spec.Containers, spec)
	}
	if pod.Spec.TerminationGracePeriodSeconds == nil {
		grace := int64(corev1.DefaultTerminationGracePeriodSeconds)
		pod.Spec.TerminationGracePeriodSeconds = &grace
	}
	return pod
}
