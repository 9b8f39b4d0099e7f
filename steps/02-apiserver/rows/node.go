package rows

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/defaulting"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/printing"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/typed"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/validation"
)

// Nodes is the row of nodes, which were called minions when the place in the
// store was chosen.
func Nodes() resource.Resource {
	return resource.Resource{
		GroupVersionKind: corev1.SchemeGroupVersion.WithKind("Node"),
		Name:             "nodes",
		Singular:         "node",
		ShortNames:       []string{"no"},
		Prefix:           "minions",
		New:              typed.New[corev1.Node],
		NewList:          typed.List[corev1.NodeList],
		Strategy: resource.Strategy{
			Default: typed.Change(defaulting.Node),
			PrepareForCreate: typed.OnCreate(func(n *corev1.Node) {
				n.Spec.ConfigSource, n.Status.Config = nil, nil // dynamic kubelet configuration was removed from Kubernetes
				n.Spec.PodPreemptionPolicy = nil                // alpha: as with its feature gate off
			}),
			PrepareForUpdate: typed.OnUpdate(func(n, old *corev1.Node) {
				n.Status = old.Status
				if old.Spec.ConfigSource == nil {
					n.Spec.ConfigSource = nil
				}
				if old.Spec.PodPreemptionPolicy == nil {
					n.Spec.PodPreemptionPolicy = nil
				}
			}),
			Validate:       typed.One(validation.Node),
			ValidateUpdate: typed.Two(validation.NodeUpdate),
			Warnings:       typed.Two(nodeWarnings),
		},
		Columns: printing.NodeColumns,
		Cells:   typed.One(printing.Node),
		Fields: typed.One(func(n *corev1.Node) fields.Set {
			return fields.Set{"spec.unschedulable": fmt.Sprint(n.Spec.Unschedulable)}
		}),
		Subresources: []resource.Subresource{
			typed.Status(resource.Strategy{
				PrepareForUpdate: typed.OnUpdate(func(n, old *corev1.Node) {
					n.Spec = old.Spec
					if old.Status.Config == nil {
						n.Status.Config = nil
					}
				}),
				ValidateUpdate: typed.Two(validation.NodeStatusUpdate),
			}),
		},
	}
}

func nodeWarnings(n, _ *corev1.Node) (warnings []string) {
	if n.Spec.ConfigSource != nil {
		warnings = append(warnings, "spec.configSource: the feature is removed")
	}
	if n.Spec.DoNotUseExternalID != "" {
		warnings = append(warnings, "spec.externalID: this field is deprecated, and is unused by Kubernetes")
	}
	for i, cidr := range n.Spec.PodCIDRs {
		warnings = append(warnings, utilvalidation.GetWarningsForCIDR(field.NewPath("spec", "podCIDRs").Index(i), cidr)...)
	}
	return warnings
}
