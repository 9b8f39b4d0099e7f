package validation

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (f *findings) affinity(a *corev1.Affinity, p *field.Path) {
	const required, preferred = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"
	if a == nil {
		return
	}
	if n := a.NodeAffinity; n != nil {
		p := p.Child("nodeAffinity")
		if s := n.RequiredDuringSchedulingIgnoredDuringExecution; s != nil {
			f.nodeSelector(s, p.Child(required, "nodeSelectorTerms"))
		}
		for i, t := range n.PreferredDuringSchedulingIgnoredDuringExecution {
			at := p.Child(preferred).Index(i)
			f.weight(t.Weight, at.Child("weight"))
			f.nodeTerm(t.Preference, false, at.Child("preference"))
		}
	}
	podTerms := func(must []corev1.PodAffinityTerm, should []corev1.WeightedPodAffinityTerm, p *field.Path) {
		for i := range must {
			f.podTerm(&must[i], p.Child(required).Index(i))
		}
		for i := range should {
			at := p.Child(preferred).Index(i)
			f.weight(should[i].Weight, at.Child("weight"))
			f.podTerm(&should[i].PodAffinityTerm, at.Child("podAffinityTerm"))
		}
	}
	if t := a.PodAffinity; t != nil {
		podTerms(t.RequiredDuringSchedulingIgnoredDuringExecution, t.PreferredDuringSchedulingIgnoredDuringExecution, p.Child("podAffinity"))
	}
	if t := a.PodAntiAffinity; t != nil {
		podTerms(t.RequiredDuringSchedulingIgnoredDuringExecution, t.PreferredDuringSchedulingIgnoredDuringExecution, p.Child("podAntiAffinity"))
	}
}

func (f *findings) weight(w int32, p *field.Path) {
	if w < 1 || w > 100 {
		f.invalid(p, w, "must be in the range 1-100")
	}
}

func (f *findings) nodeSelector(s *corev1.NodeSelector, p *field.Path) {
	if len(s.NodeSelectorTerms) == 0 {
		f.required(p, "must have at least one node selector term")
	}
	for i, t := range s.NodeSelectorTerms {
		f.nodeTerm(t, true, p.Index(i))
	}
}

// nodeTerm checks a term of a selector of nodes; of one that is only preferred
// the values may be anything.
func (f *findings) nodeTerm(t corev1.NodeSelectorTerm, values bool, p *field.Path) {
	for i, r := range t.MatchExpressions {
		f.nodeRequirement(r, values, p.Child("matchExpressions").Index(i))
	}
	for i, r := range t.MatchFields {
		f.nodeField(r, p.Child("matchFields").Index(i))
	}
}

const noOperator = "not a valid selector operator"

func (f *findings) nodeRequirement(r corev1.NodeSelectorRequirement, values bool, p *field.Path) {
	at := p.Child("values")
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(r.Values) == 0 {
			f.required(at, "must be specified when `operator` is 'In' or 'NotIn'")
		}
	case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
		if len(r.Values) > 0 {
			f.forbidden(at, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
		}
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		if len(r.Values) != 1 {
			f.required(at, "must be specified single value when `operator` is 'Lt' or 'Gt'")
		}
	default:
		f.invalid(p.Child("operator"), r.Operator, noOperator)
	}
	f.add(metavalidation.ValidateLabelName(r.Key, p.Child("key")))
	for i, v := range r.Values {
		if values {
			f.invalid(at.Index(i), v, validation.IsValidLabelValue(v)...)
		}
	}
}

// nodeField: the only field of a node that can be asked for is its name.
func (f *findings) nodeField(r corev1.NodeSelectorRequirement, p *field.Path) {
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(r.Values) != 1 {
			f.required(p.Child("values"), "must be only one value when `operator` is 'In' or 'NotIn' for node field selector")
		}
	default:
		f.invalid(p.Child("operator"), r.Operator, noOperator)
	}
	if r.Key != metav1.ObjectNameField {
		f.invalid(p.Child("key"), r.Key, "not a valid field selector key")
		return
	}
	for i, v := range r.Values {
		f.subdomain(p.Child("values").Index(i), v)
	}
}

func (f *findings) podTerm(t *corev1.PodAffinityTerm, p *field.Path) {
	var strict metavalidation.LabelSelectorValidationOptions
	f.add(metavalidation.ValidateLabelSelector(t.LabelSelector, strict, p.Child("labelSelector")))
	f.add(metavalidation.ValidateLabelSelector(t.NamespaceSelector, strict, p.Child("namespaceSelector")))
	for _, name := range t.Namespaces {
		f.invalid(p.Child("namespace"), name, apivalidation.ValidateNamespaceName(name, false)...)
	}
	f.labelKeys(t.MatchLabelKeys, t.MismatchLabelKeys, t.LabelSelector, p)
	if t.TopologyKey == "" {
		f.required(p.Child("topologyKey"), "can not be empty")
	}
	f.add(metavalidation.ValidateLabelName(t.TopologyKey, p.Child("topologyKey")))
}

// labelKeys checks labels whose values the pod itself gives to a selector. (The
// server has written them into the selector by now: there they may be once.)
func (f *findings) labelKeys(match, mismatch []string, s *metav1.LabelSelector, p *field.Path) {
	f.keysOf(match, s, p.Child("matchLabelKeys"))
	f.keysOf(mismatch, s, p.Child("mismatchLabelKeys"))
	if s != nil {
		selected := sets.KeySet(s.MatchLabels)
		for _, e := range s.MatchExpressions {
			if i := slices.Index(match, e.Key); i >= 0 && selected.Has(e.Key) {
				f.invalid(p.Index(i), e.Key, "exists in both matchLabelKeys and labelSelector")
			}
			selected.Insert(e.Key)
		}
	}
	for i, key := range match {
		if slices.Contains(mismatch, key) {
			f.invalid(p.Child("matchLabelKeys").Index(i), key, "exists in both matchLabelKeys and mismatchLabelKeys")
		}
	}
}

func (f *findings) keysOf(keys []string, s *metav1.LabelSelector, p *field.Path) {
	if len(keys) > 0 && s == nil {
		f.forbidden(p, "must not be specified when labelSelector is not set")
		return
	}
	for i, key := range keys {
		f.add(metavalidation.ValidateLabelName(key, p.Index(i)))
	}
}

func (f *findings) spread(constraints []corev1.TopologySpreadConstraint, p *field.Path) {
	for i, c := range constraints {
		at := p.Index(i)
		atLeast(f, at.Child("maxSkew"), int64(c.MaxSkew), 1, "must be greater than zero")
		if c.TopologyKey == "" {
			f.required(at.Child("topologyKey"), "can not be empty") // upstream looks no closer here
		}
		someOf(f, at.Child("whenUnsatisfiable"), c.WhenUnsatisfiable, corev1.DoNotSchedule, corev1.ScheduleAnyway)
		for _, other := range constraints[i+1:] {
			if c.TopologyKey == other.TopologyKey && c.WhenUnsatisfiable == other.WhenUnsatisfiable {
				f.duplicate(at.Child("{topologyKey, whenUnsatisfiable}"), fmt.Sprintf("{%v, %v}", c.TopologyKey, c.WhenUnsatisfiable))
				break
			}
		}
		f.minDomains(c, at.Child("minDomains"))
		for name, policy := range map[string]*corev1.NodeInclusionPolicy{"nodeAffinityPolicy": c.NodeAffinityPolicy, "nodeTaintsPolicy": c.NodeTaintsPolicy} {
			if policy != nil {
				someOf(f, at.Child(name), *policy, corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore)
			}
		}
		f.labelKeys(c.MatchLabelKeys, nil, c.LabelSelector, at)
		f.add(metavalidation.ValidateLabelSelector(c.LabelSelector, metavalidation.LabelSelectorValidationOptions{}, at.Child("labelSelector")))
	}
}

func (f *findings) minDomains(c corev1.TopologySpreadConstraint, p *field.Path) {
	if c.MinDomains == nil {
		return
	}
	atLeast(f, p, int64(*c.MinDomains), 1, "must be greater than zero")
	if c.WhenUnsatisfiable != corev1.DoNotSchedule {
		f.invalid(p, c.MinDomains, fmt.Sprintf("can only use minDomains if whenUnsatisfiable=%s, not %s", corev1.DoNotSchedule, c.WhenUnsatisfiable))
	}
}
