package validation

import (
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Namespace checks a namespace.
func Namespace(ns *corev1.Namespace) field.ErrorList {
	f := &findings{}
	f.namespace(ns)
	return f.list
}

func (f *findings) namespace(ns *corev1.Namespace) {
	f.clusterMeta(&ns.ObjectMeta, apivalidation.ValidateNamespaceName)
	for _, name := range ns.Spec.Finalizers {
		f.namespaceFinalizer(field.NewPath("spec", "finalizers"), name)
	}
}

// NamespaceUpdate checks a change of a namespace.
func NamespaceUpdate(ns, old *corev1.Namespace) field.ErrorList {
	f := &findings{}
	f.namespace(ns)
	f.metaUpdate(&ns.ObjectMeta, &old.ObjectMeta)
	return f.list
}

// NamespaceStatusUpdate wants the phase to say whether the namespace is to be deleted.
func NamespaceStatusUpdate(ns, old *corev1.Namespace) field.ErrorList {
	f := &findings{}
	f.metaUpdate(&ns.ObjectMeta, &old.ObjectMeta)
	p := field.NewPath("status", "Phase")
	switch phase := ns.Status.Phase; {
	case ns.DeletionTimestamp.IsZero() && phase != corev1.NamespaceActive:
		f.invalid(p, phase, "may only be 'Active' if `deletionTimestamp` is empty")
	case !ns.DeletionTimestamp.IsZero() && phase != corev1.NamespaceTerminating:
		f.invalid(p, phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")
	}
	return f.list
}

// NamespaceFinalizeUpdate checks what is written to the subresource finalize.
func NamespaceFinalizeUpdate(ns, old *corev1.Namespace) field.ErrorList {
	f := &findings{}
	f.metaUpdate(&ns.ObjectMeta, &old.ObjectMeta)
	for i, name := range ns.Spec.Finalizers {
		f.namespaceFinalizer(field.NewPath("spec", "finalizers").Index(i), name)
	}
	return f.list
}

func (f *findings) namespaceFinalizer(p *field.Path, name corev1.FinalizerName) {
	f.add(apivalidation.ValidateFinalizerName(string(name), p))
	f.finalizer(p, string(name))
}
