package admission

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// Priority looks up the number behind the name of a pod's priority class, once:
// a pod keeps its number when the class goes or changes.
type Priority struct{}

// Name implements resource.Admission.
func (Priority) Name() string { return "Priority" }

// Admit implements resource.Admission.
func (Priority) Admit(ctx context.Context, r *resource.Request) error {
	switch {
	case is(r, pods) && r.Operation == resource.Create:
		return setPriority(ctx, r, &r.Object.(*corev1.Pod).Spec)
	case is(r, pods) && r.Operation == resource.Update:
		keepPriority(&r.Object.(*corev1.Pod).Spec, &r.Old.(*corev1.Pod).Spec)
	case is(r, priorityClasses) && r.Operation != resource.Delete:
		return oneDefault(ctx, r, r.Object.(*schedulingv1.PriorityClass))
	}
	return nil
}

func setPriority(ctx context.Context, r *resource.Request, spec *corev1.PodSpec) error {
	class, err := classOf(ctx, r, spec.PriorityClassName)
	if err != nil {
		return err
	}
	if p := spec.Priority; p != nil && *p != class.Value {
		return forbidden(r, fmt.Errorf("the integer value of priority (%d) must not be provided in pod spec; priority admission controller computed %d from the given PriorityClass name", *p, class.Value))
	}
	if p := spec.PreemptionPolicy; p != nil && class.PreemptionPolicy != nil && *p != *class.PreemptionPolicy {
		return forbidden(r, fmt.Errorf("the string value of PreemptionPolicy (%s) must not be provided in pod spec; priority admission controller computed %s from the given PriorityClass name", *p, *class.PreemptionPolicy))
	}
	spec.PriorityClassName, spec.Priority = class.Name, &class.Value
	if class.PreemptionPolicy != nil {
		spec.PreemptionPolicy = class.PreemptionPolicy
	}
	return nil
}

// keepPriority helps clients that send a pod back as they had made it.
func keepPriority(spec, old *corev1.PodSpec) {
	if spec.Priority == nil {
		spec.Priority = old.Priority
	}
	if spec.PreemptionPolicy == nil {
		spec.PreemptionPolicy = old.PreemptionPolicy
	}
}

// classOf returns the class of a name; without one the default class, which if
// nobody has made one has no name and the priority 0.
func classOf(ctx context.Context, r *resource.Request, name string) (*schedulingv1.PriorityClass, error) {
	if name != "" {
		found, err := r.Memory.Recall(ctx, priorityClasses, "", name)
		if apierrors.IsNotFound(err) {
			return nil, forbidden(r, fmt.Errorf("no PriorityClass with name %v was found", name))
		}
		if err != nil {
			return nil, fmt.Errorf("failed to resolve PriorityClass with name %s: %w", name, err)
		}
		return found.(*schedulingv1.PriorityClass), nil
	}
	class, err := defaultClass(ctx, r.Memory)
	if err != nil || class != nil {
		return class, err
	}
	preempt := corev1.PreemptLowerPriority
	return &schedulingv1.PriorityClass{PreemptionPolicy: &preempt}, nil
}

// defaultClass is nil if there is none. If two were made at the same time, it is the lower.
func defaultClass(ctx context.Context, memory resource.Memory) (*schedulingv1.PriorityClass, error) {
	all, err := memory.RecallAll(ctx, priorityClasses)
	if err != nil {
		return nil, fmt.Errorf("failed to get default priority class: %w", err)
	}
	var lowest *schedulingv1.PriorityClass
	for _, obj := range all {
		if c := obj.(*schedulingv1.PriorityClass); c.GlobalDefault && (lowest == nil || c.Value < lowest.Value) {
			lowest = c
		}
	}
	return lowest, nil
}

func oneDefault(ctx context.Context, r *resource.Request, class *schedulingv1.PriorityClass) error {
	if !class.GlobalDefault {
		return nil
	}
	other, err := defaultClass(ctx, r.Memory)
	if err != nil {
		return err
	}
	if other != nil && (r.Operation == resource.Create || other.Name != class.Name) {
		return forbidden(r, fmt.Errorf("PriorityClass %v is already marked as default. Only one default can exist", other.Name))
	}
	return nil
}
