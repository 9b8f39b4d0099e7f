package rows

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/defaulting"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/typed"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/validation"
)

// LimitRanges is the row of limit ranges. In this step nobody holds pods to them.
func LimitRanges() resource.Resource {
	return resource.Resource{
		GroupVersionKind: corev1.SchemeGroupVersion.WithKind("LimitRange"),
		Name:             "limitranges",
		Singular:         "limitrange",
		ShortNames:       []string{"limits"},
		Namespaced:       true,
		Prefix:           "limitranges",
		New:              typed.New[corev1.LimitRange],
		NewList:          typed.List[corev1.LimitRangeList],
		Strategy: resource.Strategy{
			Default: typed.Change(defaulting.LimitRange),
			PrepareForCreate: typed.OnCreate(func(l *corev1.LimitRange) {
				if l.Name == "" { // nobody has to think of one
					l.Name = string(uuid.NewUUID())
				}
			}),
			Validate:       typed.One(validation.LimitRange),
			ValidateUpdate: typed.Two(validation.LimitRangeUpdate),
			CreateOnUpdate: true,
		},
	}
}
