package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// NamespaceLifecycle lets nothing be made in a namespace that is not there or is
// going: who empties a namespace would never be done. It also keeps the namespaces
// that a cluster cannot be without.
type NamespaceLifecycle struct{}

var immortal = []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic}

// Name implements resource.Admission.
func (NamespaceLifecycle) Name() string { return "NamespaceLifecycle" }

// Admit implements resource.Admission.
func (NamespaceLifecycle) Admit(ctx context.Context, r *resource.Request) error {
	if r.Resource.GroupResource() == namespaces {
		if r.Operation == resource.Delete && slices.Contains(immortal, r.Name) {
			return forbidden(r, errors.New("this namespace may not be deleted"))
		}
		return nil
	}
	// Whether a namespace is there is not for everyone who may ask about access in it.
	if r.Operation != resource.Create || r.Namespace == "" || r.Resource.Name == "localsubjectaccessreviews" {
		return nil
	}
	found, err := r.Memory.Recall(ctx, namespaces, "", r.Namespace)
	if err != nil {
		return err
	}
	if found.(*corev1.Namespace).Status.Phase != corev1.NamespaceTerminating {
		return nil
	}
	return terminating(r)
}

// terminating is a refusal that controllers can tell from others: they have
// nothing to do there any more.
func terminating(r *resource.Request) error {
	err := apierrors.NewForbidden(r.Resource.GroupResource(), nameOf(r),
		fmt.Errorf("unable to create new content in namespace %s because it is being terminated", r.Namespace))
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{
		Type:    corev1.NamespaceTerminatingCause,
		Message: fmt.Sprintf("namespace %s is being terminated", r.Namespace),
		Field:   "metadata.namespace",
	})
	return err
}
