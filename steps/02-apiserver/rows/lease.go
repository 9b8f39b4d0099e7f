package rows

import (
	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/printing"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/typed"
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
		New:              typed.New[coordinationv1.Lease],
		NewList:          typed.List[coordinationv1.LeaseList],
		Strategy: resource.Strategy{
			PrepareForCreate: typed.OnCreate(func(l *coordinationv1.Lease) { l.Spec.Strategy, l.Spec.PreferredHolder = nil, nil }),
			PrepareForUpdate: typed.OnUpdate(func(l, _ *coordinationv1.Lease) { l.Spec.Strategy, l.Spec.PreferredHolder = nil, nil }),
			Validate:         typed.One(validation.Lease),
			ValidateUpdate:   typed.Two(validation.LeaseUpdate),
			CreateOnUpdate:   true,
			VersionOnUpdate:  true,
		},
		Columns: printing.LeaseColumns,
		Cells:   typed.One(printing.Lease),
	}
}
