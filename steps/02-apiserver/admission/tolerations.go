package admission

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

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

// merged leaves out the tolerations that others make superfluous, whichever comes first.
func merged(all []corev1.Toleration) (out []corev1.Toleration) {
	for i, t := range all {
		needless := slices.ContainsFunc(out, func(o corev1.Toleration) bool { return covers(o, t) }) ||
			slices.ContainsFunc(all[i+1:], func(o corev1.Toleration) bool { return covers(o, t) && !equality.Semantic.DeepEqual(o, t) })
		if !needless {
			out = append(out, t)
		}
	}
	return out
}

// covers: whatever t tolerates, and for as long, o tolerates too.
func covers(o, t corev1.Toleration) bool {
	longer := o.Effect != corev1.TaintEffectNoExecute || o.TolerationSeconds == nil || t.TolerationSeconds != nil && *t.TolerationSeconds <= *o.TolerationSeconds
	switch exists := o.Operator == corev1.TolerationOpExists; {
	case equality.Semantic.DeepEqual(o, t):
		return true
	case o.Key != t.Key && (o.Key != "" || !exists), o.Effect != t.Effect && o.Effect != "", !longer:
		return false
	default:
		equal := o.Operator == "" || o.Operator == corev1.TolerationOpEqual
		return exists || equal && t.Operator == corev1.TolerationOpEqual && t.Value == o.Value
	}
}
