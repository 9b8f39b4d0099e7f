package admission

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// DefaultTolerationSeconds lets a pod stay on a node that is lost for five
// minutes, unless the pod says what it wants then: most nodes come back sooner.
type DefaultTolerationSeconds struct{}

const lostNodeSeconds = 300

// Name implements resource.Admission.
func (DefaultTolerationSeconds) Name() string { return "DefaultTolerationSeconds" }

// Admit implements resource.Admission.
func (DefaultTolerationSeconds) Admit(_ context.Context, r *resource.Request) error {
	if !is(r, pods) || r.Operation == resource.Delete {
		return nil
	}
	spec := &r.Object.(*corev1.Pod).Spec
	given := slices.Clone(spec.Tolerations)
	for _, taint := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		says := func(t corev1.Toleration) bool {
			return (t.Key == taint || t.Key == "") && (t.Effect == corev1.TaintEffectNoExecute || t.Effect == "")
		}
		if slices.ContainsFunc(given, says) {
			continue
		}
		seconds := int64(lostNodeSeconds)
		spec.Tolerations = append(spec.Tolerations, corev1.Toleration{
			Key: taint, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds,
		})
	}
	return nil
}
