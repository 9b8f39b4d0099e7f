package rows

import (
	nodev1 "k8s.io/api/node/v1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/printing"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/typed"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/validation"
)

// RuntimeClasses is the row of runtime classes.
func RuntimeClasses() resource.Resource {
	return resource.Resource{
		GroupVersionKind: nodev1.SchemeGroupVersion.WithKind("RuntimeClass"),
		Name:             "runtimeclasses",
		Singular:         "runtimeclass",
		Prefix:           "runtimeclasses",
		New:              typed.New[nodev1.RuntimeClass],
		NewList:          typed.List[nodev1.RuntimeClassList],
		Strategy: resource.Strategy{
			Validate:        typed.One(validation.RuntimeClass),
			ValidateUpdate:  typed.Two(validation.RuntimeClassUpdate),
			CreateOnUpdate:  true,
			VersionOnUpdate: true,
		},
		Columns: printing.RuntimeClassColumns,
		Cells:   typed.One(printing.RuntimeClass),
	}
}
