package rows

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/defaulting"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/printing"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/typed"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/validation"
)

// Pods is the row of pods. Logs and what else connects to a running container
// are subresources that the server appends, for they need to know the nodes.
func Pods() resource.Resource {
	return resource.Resource{
		GroupVersionKind: corev1.SchemeGroupVersion.WithKind("Pod"),
		Name:             "pods",
		Singular:         "pod",
		ShortNames:       []string{"po"},
		Categories:       []string{"all"},
		Namespaced:       true,
		Prefix:           "pods",
		New:              typed.New[corev1.Pod],
		NewList:          typed.List[corev1.PodList],
		Strategy: resource.Strategy{
			ReturnDeleted:    true,
			Default:          typed.Change(defaulting.Pod),
			PrepareForCreate: typed.OnCreate(newPod),
			PrepareForUpdate: typed.OnUpdate(updatePod),
			Validate:         typed.One(validation.Pod),
			ValidateUpdate:   typed.Two(validation.PodUpdate),
			Warnings:         typed.Two(podWarnings),
			GracePeriod:      podGrace,
		},
		Columns: printing.PodColumns,
		Cells:   typed.One(printing.Pod),
		Line:    typed.One(printing.PodLine),
		Fields:  typed.One(podFields),
		Subresources: []resource.Subresource{
			typed.Status(resource.Strategy{
				PrepareForUpdate: typed.OnUpdate(updatePodStatus),
				ValidateUpdate:   typed.Two(validation.PodStatusUpdate),
			}, []any{"metadata", "deletionTimestamp"}, []any{"metadata", "ownerReferences"}),
			{Name: "ephemeralcontainers", Update: &resource.Strategy{
				PrepareForUpdate: typed.OnUpdate(updateEphemeralContainers),
				ValidateUpdate:   typed.Two(validation.EphemeralContainersUpdate),
			}},
			{Name: "resize", Update: &resource.Strategy{
				PrepareForUpdate: typed.OnUpdate(resizePod),
				ValidateUpdate: typed.Two(func(p, old *corev1.Pod) field.ErrorList {
					return validation.PodResize(p, old, qosClass)
				}),
			}},
			bindingOf("binding"),
		},
	}
}

func podFields(p *corev1.Pod) fields.Set {
	ip := ""
	if len(p.Status.PodIPs) > 0 {
		ip = p.Status.PodIPs[0].IP
	}
	return fields.Set{
		"spec.nodeName":            p.Spec.NodeName,
		"spec.host":                p.Spec.NodeName, // its name of old
		"spec.restartPolicy":       string(p.Spec.RestartPolicy),
		"spec.schedulerName":       p.Spec.SchedulerName,
		"spec.serviceAccountName":  p.Spec.ServiceAccountName,
		"spec.hostNetwork":         strconv.FormatBool(p.Spec.HostNetwork),
		"status.phase":             string(p.Status.Phase),
		"status.podIP":             ip,
		"status.nominatedNodeName": p.Status.NominatedNodeName,
	}
}

// podGrace is how long a pod may take to stop: what was asked for, or else what the pod
// says; no time at all if there is nothing that would have to stop.
func podGrace(obj resource.Object, asked *int64) int64 {
	pod := obj.(*corev1.Pod)
	ended := pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
	switch own := pod.Spec.TerminationGracePeriodSeconds; {
	case pod.Spec.NodeName == "" || ended:
		return 0
	case asked == nil && own == nil:
		return 0
	case asked == nil:
		asked = own
	}
	if *asked < 0 {
		return 1
	}
	return *asked
}
