package rows

import (
	schedulingv1 "k8s.io/api/scheduling/v1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/defaulting"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/printing"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/typed"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/validation"
)

// PriorityClasses is the row of priority classes.
func PriorityClasses() resource.Resource {
	return resource.Resource{
		GroupVersionKind: schedulingv1.SchemeGroupVersion.WithKind("PriorityClass"),
		Name:             "priorityclasses",
		Singular:         "priorityclass",
		ShortNames:       []string{"pc"},
		Prefix:           "priorityclasses",
		New:              typed.New[schedulingv1.PriorityClass],
		NewList:          typed.List[schedulingv1.PriorityClassList],
		Strategy: resource.Strategy{
			PrepareForCreate: typed.OnCreate(func(c *schedulingv1.PriorityClass) { c.Generation = 1 }),
			Default:          typed.Change(defaulting.PriorityClass),
			Validate:         typed.One(validation.PriorityClass),
			ValidateUpdate:   typed.Two(validation.PriorityClassUpdate),
		},
		Columns: printing.PriorityClassColumns,
		Cells:   typed.One(printing.PriorityClass),
	}
}
