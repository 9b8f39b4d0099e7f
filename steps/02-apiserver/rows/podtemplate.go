package rows

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/defaulting"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/printing"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/typed"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/validation"
)

// PodTemplates is the row of pod templates by themselves, which nobody turns
// into pods.
func PodTemplates() resource.Resource {
	return resource.Resource{
		GroupVersionKind: corev1.SchemeGroupVersion.WithKind("PodTemplate"),
		Name:             "podtemplates",
		Singular:         "podtemplate",
		Namespaced:       true,
		Prefix:           "podtemplates",
		New:              typed.New[corev1.PodTemplate],
		NewList:          typed.List[corev1.PodTemplateList],
		Strategy: resource.Strategy{
			ReturnDeleted: true,
			PrepareForCreate: typed.OnCreate(func(t *corev1.PodTemplate) {
				t.Generation = 1
				withoutAlpha(&t.Template.Spec, &corev1.PodSpec{})
			}),
			PrepareForUpdate: typed.OnUpdate(func(t, old *corev1.PodTemplate) {
				withoutAlpha(&t.Template.Spec, &old.Template.Spec)
				if !equality.Semantic.DeepEqual(t.Template, old.Template) {
					t.Generation = old.Generation + 1
				}
			}),
			Default:        typed.Change(defaulting.PodTemplate),
			Warnings:       typed.Two(podTemplateWarnings),
			Validate:       typed.One(validation.PodTemplate),
			ValidateUpdate: typed.Two(validation.PodTemplateUpdate),
		},
		Columns: printing.PodTemplateColumns,
		Cells:   typed.One(printing.PodTemplate),
	}
}
