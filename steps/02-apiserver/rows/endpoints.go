package rows

import (
	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/defaulting"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/printing"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/typed"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/validation"
)

// Endpoints is the row of endpoints: the addresses behind a service.
func Endpoints() resource.Resource {
	return resource.Resource{
		GroupVersionKind: corev1.SchemeGroupVersion.WithKind("Endpoints"),
		Name:             "endpoints",
		Singular:         "endpoints",
		ShortNames:       []string{"ep"},
		Namespaced:       true,
		Prefix:           "services/endpoints",
		New:              typed.New[corev1.Endpoints],
		NewList:          typed.List[corev1.EndpointsList],
		Strategy: resource.Strategy{
			Default:        typed.Change(defaulting.Endpoints),
			Validate:       typed.One(validation.Endpoints),
			ValidateUpdate: typed.Two(validation.EndpointsUpdate),
			Warnings:       typed.Two(endpointsWarnings),
			CreateOnUpdate: true,
		},
		Columns: printing.EndpointsColumns,
		Cells:   typed.One(printing.Endpoints),
	}
}

// endpointsWarnings are for people, not for the controller that writes most endpoints.
func endpointsWarnings(e, _ *corev1.Endpoints) (warnings []string) {
	if e.Labels["endpoints.kubernetes.io/managed-by"] == "endpoint-controller" {
		return nil
	}
	for i, subset := range e.Subsets {
		for _, list := range []struct {
			field     string
			addresses []corev1.EndpointAddress
		}{{"addresses", subset.Addresses}, {"notReadyAddresses", subset.NotReadyAddresses}} {
			for j, a := range list.addresses {
				at := field.NewPath("subsets").Index(i).Child(list.field).Index(j).Child("ip")
				warnings = append(warnings, utilvalidation.GetWarningsForIP(at, a.IP)...)
			}
		}
	}
	return warnings
}
