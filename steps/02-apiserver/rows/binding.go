package rows

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/typed"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/validation"
)

// Bindings is the older path of pods/binding: what is posted to the collection
// names its pod by itself. Nothing is stored, so the row has no place in the store,
// and its only subresource has no name: it is the collection's POST.
func Bindings() resource.Resource {
	return resource.Resource{
		GroupVersionKind: corev1.SchemeGroupVersion.WithKind("Binding"),
		Name:             "bindings",
		Singular:         "binding",
		Namespaced:       true,
		New:              typed.New[corev1.Binding],
		NewList:          typed.List[metav1.List],
		Subresources:     []resource.Subresource{bindingOf("")},
		Without:          []string{"get", "list", "watch", "update", "patch", "delete", "deletecollection"},
	}
}

// bindingOf is the subresource in which a scheduler says where a pod runs.
func bindingOf(name string) resource.Subresource {
	return resource.Subresource{
		Name:             name,
		GroupVersionKind: corev1.SchemeGroupVersion.WithKind("Binding"),
		New:              typed.List[corev1.Binding],
		Create:           bind,
	}
}

var pods = schema.GroupResource{Resource: "pods"}

// bind gives a pod its node. A pod gets one once: the second scheduler that tries is told of a conflict.
func bind(ctx context.Context, server resource.Server, namespace, name string, obj runtime.Object, dryRun bool) (runtime.Object, error) {
	b := obj.(*corev1.Binding)
	if b.Name != name {
		return nil, apierrors.NewBadRequest("name in URL does not match name in Binding object")
	}
	if bad := validation.Binding(b); len(bad) > 0 {
		return nil, apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Binding").GroupKind(), name, bad)
	}
	assigned := func(obj resource.Object) error {
		pod := obj.(*corev1.Pod)
		if err := bindable(pod, b); err != nil {
			return apierrors.NewConflict(schema.GroupResource{Resource: "pods/binding"}, name, err)
		}
		assign(pod, b)
		return nil
	}
	if err := apply(ctx, server, namespace, name, assigned, dryRun); err != nil {
		return nil, err
	}
	return &metav1.Status{Status: metav1.StatusSuccess, Code: 201}, nil
}

// apply changes the pod, or only says whether it could.
func apply(ctx context.Context, server resource.Server, namespace, name string, f func(resource.Object) error, dryRun bool) error {
	if dryRun {
		pod, err := server.Get(ctx, pods, namespace, name)
		if err != nil {
			return err
		}
		return f(pod.DeepCopyObject().(resource.Object))
	}
	return server.Update(ctx, pods, namespace, name, func(pod resource.Object) (changed bool, err error) { return true, f(pod) })
}

// bindable returns why the pod can't be given to the binding's node.
func bindable(pod *corev1.Pod, b *corev1.Binding) error {
	switch {
	case b.UID != "" && b.UID != pod.UID:
		return fmt.Errorf("Precondition failed: UID in precondition: %v, UID in object meta: %v", b.UID, pod.UID)
	case b.ResourceVersion != "" && b.ResourceVersion != pod.ResourceVersion:
		return fmt.Errorf("Precondition failed: ResourceVersion in precondition: %v, ResourceVersion in object meta: %v", b.ResourceVersion, pod.ResourceVersion)
	case pod.DeletionTimestamp != nil:
		return fmt.Errorf("pod %s is being deleted, cannot be assigned to a host", pod.Name)
	case pod.Spec.NodeName != "":
		return fmt.Errorf("pod %v is already assigned to node %q", pod.Name, pod.Spec.NodeName)
	case len(pod.Spec.SchedulingGates) > 0:
		return fmt.Errorf("pod %v has non-empty .spec.schedulingGates", pod.Name)
	}
	return nil
}

func assign(pod *corev1.Pod, b *corev1.Binding) {
	pod.Spec.NodeName = b.Target.Name
	pod.Status.NominatedNodeName = ""
	pod.Annotations = merged(pod.Annotations, b.Annotations)
	pod.Labels = merged(pod.Labels, b.Labels)
	setCondition(&pod.Status, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue})
}

func merged(a, b map[string]string) map[string]string {
	if a == nil && len(b) > 0 {
		a = map[string]string{}
	}
	maps.Copy(a, b)
	return a
}

// setCondition replaces the condition of that type. The time of the transition is
// that of the change.
func setCondition(s *corev1.PodStatus, c corev1.PodCondition) {
	c.LastTransitionTime = metav1.Now().Rfc3339Copy() // as it will be read
	for i, before := range s.Conditions {
		if before.Type == c.Type {
			if before.Status == c.Status {
				c.LastTransitionTime = before.LastTransitionTime
			}
			s.Conditions[i] = c
			return
		}
	}
	s.Conditions = append(s.Conditions, c)
}
