package rows

import (
	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/printing"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/validation"
)

// Leases is the row of leases: how nodes say that they live, and how components
// agree on a leader.
func Leases() resource.Resource {
	return resource.Resource{
		GroupVersionKind: coordinationv1.SchemeGroupVersion.WithKind("Lease"),
		Name:             "leases",
		Singular:         "lease",
		Namespaced:       true,
		Prefix:           "leases",
		New:              object[coordinationv1.Lease],
		NewList:          list[coordinationv1.LeaseList],
		Strategy: resource.Strategy{
			PrepareForCreate: onCreate(func(l *coordinationv1.Lease) { l.Spec.Strategy, l.Spec.PreferredHolder = nil, nil }),
			PrepareForUpdate: onUpdate(func(l, _ *coordinationv1.Lease) { l.Spec.Strategy, l.Spec.PreferredHolder = nil, nil }),
			Validate:         one(validation.Lease),
			ValidateUpdate:   two(validation.LeaseUpdate),
			CreateOnUpdate:   true,
		},
		Columns: printing.LeaseColumns,
		Cells:   one(printing.Lease),
	}
}
