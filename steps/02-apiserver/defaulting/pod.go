package defaulting

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/manifest"
)

// Pod sets what the kubelet sets for a static pod, and the kinds of volumes and
// fields of the status that only come by way of the API.
func Pod(pod *corev1.Pod) {
	manifest.SetDefaults(pod)
	if pod.Spec.Resources != nil {
		roundUp(pod.Spec.Resources.Limits, pod.Spec.Resources.Requests)
	}
	for i := range pod.Spec.Volumes {
		volume(&pod.Spec.Volumes[i].VolumeSource)
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			fileKeys(list[i].Env)
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		fileKeys(pod.Spec.EphemeralContainers[i].Env)
	}
	podIPs(&pod.Status)
	roundUpStatus(&pod.Status)
}

// roundUpStatus is about what a kubelet says of resources.
func roundUpStatus(s *corev1.PodStatus) {
	roundUp(s.AllocatedResources)
	if s.Resources != nil {
		roundUp(s.Resources.Limits, s.Resources.Requests)
	}
	for _, list := range [][]corev1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses} {
		for _, c := range list {
			roundUp(c.AllocatedResources)
			if c.Resources != nil {
				roundUp(c.Resources.Limits, c.Resources.Requests)
			}
		}
	}
}

// PodTemplate sets what a pod of the template has as well, except for what depends
// on other fields of the pod: requests stay as they are when only limits are
// written, so that a change of the limit is a change of both.
func PodTemplate(t *corev1.PodTemplate) { Template(&t.Template) }

// Template is PodTemplate for the templates of other kinds.
func Template(t *corev1.PodTemplateSpec) {
	links, hostNetwork, grace := t.Spec.EnableServiceLinks, t.Spec.HostNetwork, t.Spec.TerminationGracePeriodSeconds
	if grace != nil {
		value := *grace // which SetDefaults may correct for pods
		grace = &value
	}
	requests := withoutRequests(&t.Spec)
	t.Spec.HostNetwork = false

	pod := &corev1.Pod{Spec: t.Spec}
	Pod(pod)
	t.Spec = pod.Spec
	t.Spec.EnableServiceLinks, t.Spec.HostNetwork = links, hostNetwork
	if grace != nil {
		t.Spec.TerminationGracePeriodSeconds = grace
	}
	requests()
}

// withoutRequests notes the containers' requests, and returns what restores them.
func withoutRequests(spec *corev1.PodSpec) (restore func()) {
	var all []*corev1.Container
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			all = append(all, &list[i])
		}
	}
	requests := make([]corev1.ResourceList, len(all))
	for i, c := range all {
		requests[i] = c.Resources.Requests.DeepCopy()
		roundUp(requests[i])
	}
	return func() {
		for i, c := range all {
			c.Resources.Requests = requests[i]
		}
	}
}

// podIPs keeps the address of a pod and the list of its addresses alike; the
// one address counts when they differ.
func podIPs(s *corev1.PodStatus) {
	switch {
	case s.PodIP != "" && (len(s.PodIPs) == 0 || s.PodIPs[0].IP != s.PodIP):
		s.PodIPs = []corev1.PodIP{{IP: s.PodIP}}
	case s.PodIP == "" && len(s.PodIPs) > 0:
		s.PodIP = s.PodIPs[0].IP
	}
}

func fileKeys(env []corev1.EnvVar) {
	for i := range env {
		if from := env[i].ValueFrom; from != nil && from.FileKeyRef != nil {
			setPointer(&from.FileKeyRef.Optional, false)
		}
	}
}
