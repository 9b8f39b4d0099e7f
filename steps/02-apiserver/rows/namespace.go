package rows

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/defaulting"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/printing"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/typed"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/validation"
)

// Namespaces is the row of namespaces.
//
// A namespace ends in two acts. The first DELETE only dates its end and makes its
// phase Terminating, from when on nothing new may be made in it. It stays for as
// long as spec.finalizers names somebody who has to clean up: "kubernetes", which
// every namespace has, is whoever deletes the objects in it, and then writes
// the shorter list to the subresource finalize.
func Namespaces() resource.Resource {
	return resource.Resource{
		GroupVersionKind: corev1.SchemeGroupVersion.WithKind("Namespace"),
		Name:             "namespaces",
		Singular:         "namespace",
		ShortNames:       []string{"ns"},
		Prefix:           "namespaces",
		New:              typed.New[corev1.Namespace],
		NewList:          typed.List[corev1.NamespaceList],
		Strategy: resource.Strategy{
			ReturnDeleted:    true,
			Default:          typed.Change(defaultNamespace),
			PrepareForCreate: typed.OnCreate(newNamespace),
			PrepareForUpdate: typed.OnUpdate(func(ns, old *corev1.Namespace) {
				ns.Spec.Finalizers = old.Spec.Finalizers
				ns.Status = old.Status
			}),
			Validate:       typed.One(validation.Namespace),
			ValidateUpdate: typed.Two(validation.NamespaceUpdate),
			Finalizers:     namespaceFinalizers,
		},
		Columns: printing.NamespaceColumns,
		Cells:   typed.One(printing.Namespace),
		Fields: typed.One(func(ns *corev1.Namespace) fields.Set {
			return fields.Set{"name": ns.Name, "status.phase": string(ns.Status.Phase)}
		}),
		Subresources: []resource.Subresource{
			typed.Status(resource.Strategy{
				PrepareForUpdate: typed.OnUpdate(func(ns, old *corev1.Namespace) { ns.Spec = old.Spec }),
				ValidateUpdate:   typed.Two(validation.NamespaceStatusUpdate),
			}),
			{Name: "finalize", Update: &resource.Strategy{
				PrepareForUpdate: typed.OnUpdate(func(ns, old *corev1.Namespace) { ns.Status = old.Status }),
				ValidateUpdate:   typed.Two(validation.NamespaceFinalizeUpdate),
			}, Without: []string{"get", "patch"}},
		},
		Without: []string{"deletecollection"},
	}
}

func newNamespace(ns *corev1.Namespace) {
	defaulting.Namespace(ns) // once more: the name may have been generated
	ns.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
	if !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
		ns.Spec.Finalizers = append(ns.Spec.Finalizers, corev1.FinalizerKubernetes)
	}
}

// defaultNamespace also derives the phase: who is to be deleted is terminating.
func defaultNamespace(ns *corev1.Namespace) {
	defaulting.Namespace(ns)
	if ns.DeletionTimestamp != nil {
		ns.Status.Phase = corev1.NamespaceTerminating
	}
}

// namespaceFinalizers are those who have to let go of a namespace before it is
// removed, besides those in its metadata.
func namespaceFinalizers(obj resource.Object) []string {
	var names []string
	for _, f := range obj.(*corev1.Namespace).Spec.Finalizers {
		names = append(names, string(f))
	}
	return names
}
