package rows

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/defaulting"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/printing"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/typed"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/validation"
)

// ResourceQuotas is the row of resource quotas. In this step nobody counts.
func ResourceQuotas() resource.Resource {
	return resource.Resource{
		GroupVersionKind: corev1.SchemeGroupVersion.WithKind("ResourceQuota"),
		Name:             "resourcequotas",
		Singular:         "resourcequota",
		ShortNames:       []string{"quota"},
		Namespaced:       true,
		Prefix:           "resourcequotas",
		New:              typed.New[corev1.ResourceQuota],
		NewList:          typed.List[corev1.ResourceQuotaList],
		Strategy: resource.Strategy{
			ReturnDeleted:    true,
			Default:          typed.Change(defaulting.ResourceQuota),
			PrepareForCreate: typed.OnCreate(func(q *corev1.ResourceQuota) { q.Status = corev1.ResourceQuotaStatus{} }),
			PrepareForUpdate: typed.OnUpdate(func(q, old *corev1.ResourceQuota) { q.Status = old.Status }),
			Validate:         typed.One(validation.ResourceQuota),
			ValidateUpdate:   typed.Two(validation.ResourceQuotaUpdate),
			Warnings:         typed.Two(quotaWarnings),
		},
		Columns: printing.ResourceQuotaColumns,
		Cells:   typed.One(printing.ResourceQuota),
		Subresources: []resource.Subresource{
			typed.Status(resource.Strategy{
				PrepareForUpdate: typed.OnUpdate(func(q, old *corev1.ResourceQuota) { q.Spec = old.Spec }),
				ValidateUpdate:   typed.Two(validation.ResourceQuotaStatusUpdate),
			}),
		},
	}
}

// quotaWarnings tells who makes a quota of requests that exceed their limits.
func quotaWarnings(q, old *corev1.ResourceQuota) (warnings []string) {
	if old != nil {
		return nil
	}
	hard := q.Spec.Hard
	for _, name := range []corev1.ResourceName{"cpu", "memory", "storage", "ephemeral-storage"} {
		request, limit := "requests."+name, "limits."+name
		if _, ok := hard[request]; !ok && (name == corev1.ResourceCPU || name == corev1.ResourceMemory) {
			request = name
		}
		r, requested := hard[request]
		l, limited := hard[limit]
		if requested && limited && r.Cmp(l) > 0 {
			warnings = append(warnings, fmt.Sprintf("ResourceQuota %s (%s) should be less than %s (%s)", request, r.String(), limit, l.String()))
		}
	}
	return warnings
}
