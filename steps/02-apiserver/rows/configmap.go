package rows

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/printing"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/typed"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/validation"
)

// ConfigMaps is the row of config maps.
func ConfigMaps() resource.Resource {
	return resource.Resource{
		GroupVersionKind: corev1.SchemeGroupVersion.WithKind("ConfigMap"),
		Name:             "configmaps",
		Singular:         "configmap",
		ShortNames:       []string{"cm"},
		Namespaced:       true,
		Prefix:           "configmaps",
		New:              typed.New[corev1.ConfigMap],
		NewList:          typed.List[corev1.ConfigMapList],
		Strategy: resource.Strategy{
			Validate:       typed.One(validation.ConfigMap),
			ValidateUpdate: typed.Two(validation.ConfigMapUpdate),
		},
		Columns: printing.ConfigMapColumns,
		Cells:   typed.One(printing.ConfigMap),
	}
}
