package validation

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// changeable are the fields that may change in a pod that exists. All others say
// how its containers were made.
const changeable = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`," +
	"`spec.tolerations` (only additions to existing tolerations)," +
	"`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"

// PodUpdate checks a change of a pod.
func PodUpdate(p, old *corev1.Pod) field.ErrorList {
	f := &findings{}
	f.metaUpdate(&p.ObjectMeta, &old.ObjectMeta)
	f.pod(p)
	f.keptAnnotations(p, old)
	if !f.sameContainers(&p.Spec, &old.Spec) || !f.shorterDeadline(p.Spec.ActiveDeadlineSeconds, old.Spec.ActiveDeadlineSeconds) {
		return f.list
	}
	f.addedTolerations(p.Spec.Tolerations, old.Spec.Tolerations)
	f.removedGates(p.Spec.SchedulingGates, old.Spec.SchedulingGates)
	if len(old.Spec.SchedulingGates) > 0 {
		f.narrowed(&p.Spec, &old.Spec)
	}
	if rest := reverted(&p.Spec, &old.Spec); !equality.Semantic.DeepEqual(*rest, old.Spec) {
		f.forbidden(spec, fmt.Sprintf("pod updates may not change fields other than %s\n%v", changeable, diff.Diff(old.Spec, *rest)))
	}
	return f.list
}

// reverted is the new pod with everything that may change as it was.
func reverted(s, old *corev1.PodSpec) *corev1.PodSpec {
	rest := s.DeepCopy()
	for i := range rest.Containers {
		rest.Containers[i].Image = old.Containers[i].Image
	}
	for i := range rest.InitContainers {
		rest.InitContainers[i].Image = old.InitContainers[i].Image
	}
	rest.ActiveDeadlineSeconds = old.ActiveDeadlineSeconds
	rest.Tolerations, rest.SchedulingGates = old.Tolerations, old.SchedulingGates
	if before, now := old.TerminationGracePeriodSeconds, rest.TerminationGracePeriodSeconds; before != nil && *before < 0 && now != nil && *now == 1 {
		rest.TerminationGracePeriodSeconds = before
	}
	if len(old.SchedulingGates) > 0 {
		rest.NodeSelector = old.NodeSelector
		rest.Affinity = withNodeAffinity(rest.Affinity, nodeAffinity(old))
	}
	return rest
}

func nodeAffinity(s *corev1.PodSpec) *corev1.NodeAffinity {
	if s.Affinity == nil {
		return nil
	}
	return s.Affinity.NodeAffinity
}

func withNodeAffinity(a *corev1.Affinity, node *corev1.NodeAffinity) *corev1.Affinity {
	with := corev1.Affinity{NodeAffinity: node}
	if a != nil {
		with.PodAffinity, with.PodAntiAffinity = a.PodAffinity, a.PodAntiAffinity
	}
	if with == (corev1.Affinity{}) {
		return nil
	}
	return &with
}

func (f *findings) sameContainers(s, old *corev1.PodSpec) bool {
	for _, list := range []struct {
		field    string
		now, old []corev1.Container
	}{{"containers", s.Containers, old.Containers}, {"initContainers", s.InitContainers, old.InitContainers}} {
		at := spec.Child(list.field)
		if len(list.now) != len(list.old) {
			f.forbidden(at, "pod updates may not add or remove containers")
			return false
		}
		for i, c := range list.now {
			image := at.Index(i).Child("image")
			if c.Image == "" {
				f.required(image, "")
			}
			if strings.TrimSpace(c.Image) != c.Image {
				f.invalid(image, c.Image, "must not have leading or trailing whitespace")
			}
		}
	}
	return true
}

// shorterDeadline: a deadline may be set, and come nearer. It returns whether the
// rest is worth a look.
func (f *findings) shorterDeadline(now, old *int64) bool {
	at := spec.Child("activeDeadlineSeconds")
	switch {
	case now == nil && old != nil:
		f.invalid(at, now, "must not update from a positive integer to nil value")
	case now == nil:
	case *now < 0 || *now > math.MaxInt32:
		f.invalid(at, *now, validation.InclusiveRangeError(0, math.MaxInt32))
		return false
	case old != nil && *old < *now:
		f.invalid(at, *now, "must be less than or equal to previous value")
		return false
	}
	return true
}

// addedTolerations: those that there were are still there, for a time that may be another.
func (f *findings) addedTolerations(now, old []corev1.Toleration) {
	at := spec.Child("tolerations")
	for _, before := range old {
		kept := slices.ContainsFunc(now, func(t corev1.Toleration) bool {
			before.TolerationSeconds = t.TolerationSeconds
			return equality.Semantic.DeepEqual(before, t)
		})
		if !kept {
			f.forbidden(at, "existing toleration can not be modified except its tolerationSeconds")
			return
		}
	}
	f.add(tolerations(now, at))
}

func (f *findings) removedGates(now, old []corev1.PodSchedulingGate) {
	for i, g := range now {
		if !slices.Contains(old, g) {
			f.forbidden(spec.Child("schedulingGates").Index(i).Child("name"),
				fmt.Sprintf("only deletion is allowed, but found new scheduling gate '%s'", g.Name))
		}
	}
}

// narrowed: whoever holds a pod back with a gate may make it choosier about its
// node, not less choosy.
func (f *findings) narrowed(s, old *corev1.PodSpec) {
	for key, value := range old.NodeSelector {
		if now, ok := s.NodeSelector[key]; !ok || now != value {
			f.invalid(spec.Child("nodeSelector"), s.NodeSelector, "only additions to spec.nodeSelector are allowed (no mutations or deletions)")
			break
		}
	}
	before, now := requiredTerms(old), requiredTerms(s)
	at := spec.Child("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
	if len(before) > 0 && len(before) != len(now) {
		f.invalid(at, now, "no additions/deletions to non-empty NodeSelectorTerms list are allowed")
		return
	}
	for i := range before {
		if !extends(now[i], before[i]) {
			f.invalid(at.Index(i), now[i], "only additions are allowed (no mutations or deletions)")
		}
	}
}

func requiredTerms(s *corev1.PodSpec) []corev1.NodeSelectorTerm {
	if n := nodeAffinity(s); n != nil && n.RequiredDuringSchedulingIgnoredDuringExecution != nil {
		return n.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	}
	return nil
}

// extends: the term asks for all that the old one asked for. An empty one matched
// nothing, and can't be narrowed.
func extends(t, old corev1.NodeSelectorTerm) bool {
	begins := func(now, old []corev1.NodeSelectorRequirement) bool {
		return len(now) >= len(old) && equality.Semantic.DeepEqual(now[:len(old)], old)
	}
	if len(old.MatchExpressions)+len(old.MatchFields) == 0 && len(t.MatchExpressions)+len(t.MatchFields) > 0 {
		return false
	}
	return begins(t.MatchExpressions, old.MatchExpressions) && begins(t.MatchFields, old.MatchFields)
}

// keptAnnotations: what made a pod a mirror, or confined its containers, stays.
func (f *findings) keptAnnotations(p, old *corev1.Pod) {
	at := metadata.Child("annotations")
	appArmor := func(key string) bool {
		return strings.HasPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix)
	}
	check := func(key, what string) {
		if appArmor(key) {
			f.forbidden(at.Key(key), what+" AppArmor annotations")
		} else if key == corev1.MirrorPodAnnotationKey {
			f.forbidden(at.Key(key), what+" mirror pod annotation")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(old.Annotations)) {
		if now, ok := p.Annotations[key]; !ok || now != old.Annotations[key] {
			check(key, "may not remove or update")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(p.Annotations)) {
		if _, ok := old.Annotations[key]; !ok {
			check(key, "may not add")
		}
	}
	f.podAnnotations(p.Annotations, &p.Spec, at)
}
