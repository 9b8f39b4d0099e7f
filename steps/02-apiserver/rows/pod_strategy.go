package rows

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// newPod gives a pod its first status. Who makes it can't: a pod that claims to
// run already is as pending as any.
func newPod(p *corev1.Pod) {
	p.Generation = 1
	withoutAlpha(&p.Spec, &corev1.PodSpec{})
	completeResources(p)
	p.Status = corev1.PodStatus{Phase: corev1.PodPending, QOSClass: qosClass(p)}
	if len(p.Spec.SchedulingGates) > 0 {
		setCondition(&p.Status, corev1.PodCondition{
			Type:    corev1.PodScheduled,
			Status:  corev1.ConditionFalse,
			Reason:  corev1.PodReasonSchedulingGated,
			Message: "Scheduling is blocked due to non-empty scheduling gates",
		})
	}
	selectOwnKind(p)
}

// withoutAlpha drops what upstream's server does not keep unless it is told to by a
// feature gate, if it was not there before.
func withoutAlpha(s, old *corev1.PodSpec) {
	if old.SchedulingGroup == nil {
		s.SchedulingGroup = nil
	}
	if old.EvictionResponders == nil {
		s.EvictionResponders = nil
	}
}

// selectOwnKind writes out matchLabelKeys: the scheduler finds the pod's own
// values of these labels in the selector.
func selectOwnKind(p *corev1.Pod) {
	for i := range p.Spec.TopologySpreadConstraints {
		c := &p.Spec.TopologySpreadConstraints[i]
		requireLabels(c.LabelSelector, c.MatchLabelKeys, metav1.LabelSelectorOpIn, p.Labels)
	}
	for term := range affinityTerms(p.Spec.Affinity) {
		requireLabels(term.LabelSelector, term.MatchLabelKeys, metav1.LabelSelectorOpIn, p.Labels)
		requireLabels(term.LabelSelector, term.MismatchLabelKeys, metav1.LabelSelectorOpNotIn, p.Labels)
	}
}

func requireLabels(s *metav1.LabelSelector, keys []string, op metav1.LabelSelectorOperator, labels map[string]string) {
	for _, key := range keys {
		if value, ok := labels[key]; ok && s != nil {
			s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: op, Values: []string{value}})
		}
	}
}

// affinityTerms yields all terms that are about other pods.
func affinityTerms(a *corev1.Affinity) func(yield func(*corev1.PodAffinityTerm) bool) {
	var terms []*corev1.PodAffinityTerm
	add := func(required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) {
		for i := range preferred {
			terms = append(terms, &preferred[i].PodAffinityTerm)
		}
		for i := range required {
			terms = append(terms, &required[i])
		}
	}
	if a != nil && a.PodAffinity != nil {
		add(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if a != nil && a.PodAntiAffinity != nil {
		add(a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution, a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	return func(yield func(*corev1.PodAffinityTerm) bool) {
		for _, t := range terms {
			if !yield(t) {
				return
			}
		}
	}
}

func updatePod(p, old *corev1.Pod) {
	p.Status = old.Status
	withoutAlpha(&p.Spec, &old.Spec)
	if p.Spec.Resources == nil { // a client that does not know the field leaves it out
		p.Spec.Resources = old.Spec.Resources
	}
}

// updatePodStatus keeps what a kubelet that is older than the server would lose.
func updatePodStatus(p, old *corev1.Pod) {
	p.Spec = old.Spec
	p.DeletionTimestamp = old.DeletionTimestamp
	p.OwnerReferences = old.OwnerReferences
	s, before := &p.Status, &old.Status
	if s.QOSClass == "" {
		s.QOSClass = before.QOSClass
	}
	if before.NodeAllocatableResourceClaimStatuses == nil { // as upstream without its alpha features
		s.NodeAllocatableResourceClaimStatuses = nil
	}
	if before.VolumeHealth == nil {
		s.VolumeHealth = nil
	}
	if s.ResourceClaimStatuses == nil {
		s.ResourceClaimStatuses = before.ResourceClaimStatuses
	}
	if s.ExtendedResourceClaimStatus == nil {
		s.ExtendedResourceClaimStatus = before.ExtendedResourceClaimStatus
	}
	if s.ObservedGeneration == 0 {
		s.ObservedGeneration = before.ObservedGeneration
	}
	keepObserved(s.Conditions, before.Conditions)
}

// keepObserved fills in the generation that a condition is about from the
// condition of its type before; several may have one type.
func keepObserved(conditions, before []corev1.PodCondition) {
	known := map[corev1.PodConditionType][]int64{}
	for _, c := range before {
		known[c.Type] = append(known[c.Type], c.ObservedGeneration)
	}
	for i := range conditions {
		c := &conditions[i]
		if len(known[c.Type]) == 0 {
			continue
		}
		if c.ObservedGeneration == 0 {
			c.ObservedGeneration = known[c.Type][0]
		}
		known[c.Type] = known[c.Type][1:]
	}
}

// updateEphemeralContainers lets nothing through but the containers.
func updateEphemeralContainers(p, old *corev1.Pod) {
	containers := p.Spec.EphemeralContainers
	keepAll(p, old)
	p.Spec.EphemeralContainers = containers
}

// resizePod lets resources and resize policies through, of containers that are
// the same otherwise. Validation says what it thinks of others.
func resizePod(p, old *corev1.Pod) {
	if len(p.Spec.Containers) != len(old.Spec.Containers) || len(p.Spec.InitContainers) != len(old.Spec.InitContainers) {
		return
	}
	sent := p.Spec
	keepAll(p, old)
	p.Spec.Containers = resized(sent.Containers, old.Spec.Containers)
	p.Spec.InitContainers = resized(sent.InitContainers, old.Spec.InitContainers)
	if sent.Resources != nil {
		p.Spec.Resources = sent.Resources
	}
	completeResources(p)
}

func resized(sent, old []corev1.Container) []corev1.Container {
	if len(sent) == 0 {
		return sent
	}
	merged := make([]corev1.Container, len(old))
	copy(merged, old)
	for i, c := range sent {
		if c.Name != old[i].Name {
			return sent
		}
		merged[i].Resources, merged[i].ResizePolicy = c.Resources, c.ResizePolicy
	}
	return merged
}

// keepAll makes the pod the old one, except for the metadata by which a conflict is noticed.
func keepAll(p, old *corev1.Pod) {
	p.Spec, p.Status = *old.Spec.DeepCopy(), old.Status
	metav1.ResetObjectMetaForStatus(&p.ObjectMeta, &old.ObjectMeta)
}
