package framework

import (
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// A Term is one wish of inter-pod affinity, or its opposite: to be in the same
// topology domain as the pods that it selects.
type Term struct {
	TopologyKey string
	Weight      int64 // of a preferred term

	namespaces        []string
	namespaceSelector labels.Selector
	selector          labels.Selector
}

// Selects reports whether the term means pod; namespace is the labels of the
// pod's namespace.
func (t *Term) Selects(pod *Pod, namespace labels.Set) bool {
	return (slices.Contains(t.namespaces, pod.Namespace) || t.namespaceSelector.Matches(namespace)) &&
		t.selector.Matches(labels.Set(pod.Labels))
}

// MaySelect is Selects for a namespace whose labels are not at hand: a selector
// for namespaces that is not empty counts as if it selected any.
func (t *Term) MaySelect(pod *Pod) bool {
	_, selectable := t.namespaceSelector.Requirements()
	return (slices.Contains(t.namespaces, pod.Namespace) || selectable) && t.selector.Matches(labels.Set(pod.Labels))
}

// newTerm parses one term of owner. A term without namespaces and without a
// selector for them means the owner's own. (matchLabelKeys and
// mismatchLabelKeys are in the selector already: the API server puts them there
// when the pod is created.)
func newTerm(owner *corev1.Pod, term *corev1.PodAffinityTerm, weight int32) (Term, error) {
	t := Term{TopologyKey: term.TopologyKey, Weight: int64(weight), namespaces: term.Namespaces}
	if len(term.Namespaces) == 0 && term.NamespaceSelector == nil {
		t.namespaces = []string{owner.Namespace}
	}
	var err error
	if t.selector, err = metav1.LabelSelectorAsSelector(term.LabelSelector); err != nil {
		return t, fmt.Errorf("labelSelector: %w", err)
	}
	if t.namespaceSelector, err = metav1.LabelSelectorAsSelector(term.NamespaceSelector); err != nil {
		return t, fmt.Errorf("namespaceSelector: %w", err)
	}
	return t, nil
}

func (p *Pod) parseAffinity() error {
	affinity := p.Spec.Affinity
	if affinity == nil {
		return nil
	}
	var errs []error
	required := func(field string, terms []corev1.PodAffinityTerm) []Term {
		return parseTerms(p.Pod, field, terms, &errs)
	}
	preferred := func(field string, terms []corev1.WeightedPodAffinityTerm) []Term {
		parsed := make([]Term, 0, len(terms))
		for _, term := range terms {
			t, err := newTerm(p.Pod, &term.PodAffinityTerm, term.Weight)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", field, err))
				return nil
			}
			parsed = append(parsed, t)
		}
		return parsed
	}
	if a := affinity.PodAffinity; a != nil {
		p.Affinity = required("required pod affinity", a.RequiredDuringSchedulingIgnoredDuringExecution)
		p.PreferredAffinity = preferred("preferred pod affinity", a.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if a := affinity.PodAntiAffinity; a != nil {
		p.AntiAffinity = required("required pod anti-affinity", a.RequiredDuringSchedulingIgnoredDuringExecution)
		p.PreferredAntiAffinity = preferred("preferred pod anti-affinity", a.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	return errors.Join(errs...)
}

// parseTerms parses required terms; one that cannot be parsed voids the list.
func parseTerms(owner *corev1.Pod, field string, terms []corev1.PodAffinityTerm, errs *[]error) []Term {
	parsed := make([]Term, 0, len(terms))
	for i := range terms {
		t, err := newTerm(owner, &terms[i], 0)
		if err != nil {
			*errs = append(*errs, fmt.Errorf("%s: %w", field, err))
			return nil
		}
		parsed = append(parsed, t)
	}
	return parsed
}
