package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// RuntimeClass writes into a pod what its class of runtime costs besides the
// containers, and where there is such a runtime.
type RuntimeClass struct{}

// Name implements resource.Admission.
func (RuntimeClass) Name() string { return "RuntimeClass" }

// Admit implements resource.Admission.
func (RuntimeClass) Admit(ctx context.Context, r *resource.Request) error {
	if !is(r, pods) || r.Operation != resource.Create {
		return nil
	}
	spec := &r.Object.(*corev1.Pod).Spec
	class := &nodev1.RuntimeClass{}
	if name := spec.RuntimeClassName; name != nil {
		found, err := r.Memory.Recall(ctx, runtimeClasses, "", *name)
		if apierrors.IsNotFound(err) {
			return forbidden(r, fmt.Errorf("pod rejected: RuntimeClass %q not found", *name))
		}
		if err != nil {
			return err
		}
		class = found.(*nodev1.RuntimeClass)
	}
	if err := errors.Join(setOverhead(spec, class), setScheduling(spec, class)); err != nil {
		return forbidden(r, err)
	}
	return nil
}

func setOverhead(spec *corev1.PodSpec, class *nodev1.RuntimeClass) error {
	switch {
	case class.Overhead == nil && spec.Overhead != nil:
		return errors.New("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")
	case class.Overhead == nil:
		return nil
	case len(spec.Overhead) > 0 && !equality.Semantic.DeepEqual(spec.Overhead, class.Overhead.PodFixed):
		return errors.New("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
	}
	spec.Overhead = class.Overhead.PodFixed
	return nil
}

func setScheduling(spec *corev1.PodSpec, class *nodev1.RuntimeClass) error {
	if class.Scheduling == nil {
		return nil
	}
	for key, value := range class.Scheduling.NodeSelector {
		if own, ok := spec.NodeSelector[key]; ok && own != value {
			return fmt.Errorf("conflict: runtimeClass.scheduling.nodeSelector[%s] = %s; pod.spec.nodeSelector[%s] = %s", key, value, key, own)
		}
		if spec.NodeSelector == nil {
			spec.NodeSelector = map[string]string{}
		}
		spec.NodeSelector[key] = value
	}
	spec.Tolerations = merged(append(slices.Clone(spec.Tolerations), class.Scheduling.Tolerations...))
	return nil
}
