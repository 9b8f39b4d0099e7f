package rows

import (
	nodev1 "k8s.io/api/node/v1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// RuntimeClasses is the row of runtime classes.
func RuntimeClasses() resource.Resource {
	return resource.Resource{
		GroupVersionKind: nodev1.SchemeGroupVersion.WithKind("RuntimeClass"),
		Name:             "runtimeclasses",
		Singular:         "runtimeclass",
		Prefix:           "runtimeclasses",
		New:              object[nodev1.RuntimeClass],
		NewList:          list[nodev1.RuntimeClassList],
		Strategy: resource.Strategy{
			CreateOnUpdate: true,
		},
	}
}
