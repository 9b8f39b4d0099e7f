package validation

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ResourceQuota checks a quota.
func ResourceQuota(q *corev1.ResourceQuota) field.ErrorList {
	f := &findings{}
	f.meta(&q.ObjectMeta, apivalidation.NameIsDNSSubdomain)
	f.quotaSpec(&q.Spec)
	f.quotaStatus(&q.Status)
	return f.list
}

// ResourceQuotaUpdate holds a quota to its scopes.
func ResourceQuotaUpdate(q, old *corev1.ResourceQuota) field.ErrorList {
	f := &findings{}
	f.metaUpdate(&q.ObjectMeta, &old.ObjectMeta)
	f.quotaSpec(&q.Spec)
	if !sets.New(q.Spec.Scopes...).Equal(sets.New(old.Spec.Scopes...)) {
		f.invalid(spec.Child("scopes"), q.Spec.Scopes, immutable)
	}
	return f.list
}

// ResourceQuotaStatusUpdate checks what was counted.
func ResourceQuotaStatusUpdate(q, old *corev1.ResourceQuota) field.ErrorList {
	f := &findings{}
	f.metaUpdate(&q.ObjectMeta, &old.ObjectMeta)
	if q.ResourceVersion == "" {
		f.required(field.NewPath("resourceVersion"), "")
	}
	f.quotaStatus(&q.Status)
	return f.list
}

func (f *findings) quotaStatus(s *corev1.ResourceQuotaStatus) {
	f.quotaList(s.Hard, field.NewPath("status", "hard"))
	f.quotaList(s.Used, field.NewPath("status", "used"))
}

func (f *findings) quotaList(list corev1.ResourceList, p *field.Path) {
	for _, name := range slices.Sorted(maps.Keys(list)) {
		f.quotaResource(name, p.Key(string(name)))
		f.quantity(name, list[name], p.Key(string(name)))
	}
}

func (f *findings) quotaSpec(q *corev1.ResourceQuotaSpec) {
	f.quotaList(q.Hard, spec.Child("hard"))
	names := slices.Sorted(maps.Keys(q.Hard))

	p := spec.Child("scopes")
	for _, scope := range q.Scopes {
		f.scope(scope, names, p, q.Scopes, p, q.Scopes)
	}
	f.conflicts(sets.New(q.Scopes...), q.Scopes, p)

	if q.ScopeSelector == nil {
		return
	}
	p = spec.Child("scopeSelector", "matchExpressions")
	selected := sets.New[corev1.ResourceQuotaScope]()
	for _, r := range q.ScopeSelector.MatchExpressions {
		f.scope(r.ScopeName, names, p.Child("scopeName"), r.ScopeName, p, inside{q.ScopeSelector})
		f.scopeOperator(r, p)
		selected.Insert(r.ScopeName)
	}
	f.conflicts(selected, q.Scopes, p)
}

// scope wants one that there is, and that has a meaning for each resource.
func (f *findings) scope(scope corev1.ResourceQuotaScope, names []corev1.ResourceName, at *field.Path, value any, p *field.Path, all any) {
	applies, known := scopes[scope]
	if !known {
		f.invalid(at, value, "unsupported scope")
		return
	}
	for _, name := range names {
		if (quotas.Has(name) || isHugeQuota(name)) && !applies.Has(name) {
			f.invalid(p, all, "unsupported scope applied to resource")
		}
	}
}

var (
	podCounts    = sets.New(corev1.ResourcePods)
	podResources = podCounts.Union(sets.New(corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceLimitsCPU,
		corev1.ResourceLimitsMemory, corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory))

	// scopes are what narrows a quota down, with the resources for which they mean something.
	scopes = map[corev1.ResourceQuotaScope]sets.Set[corev1.ResourceName]{
		corev1.ResourceQuotaScopeBestEffort:                podCounts,
		corev1.ResourceQuotaScopeNotBestEffort:             podResources,
		corev1.ResourceQuotaScopeTerminating:               podResources,
		corev1.ResourceQuotaScopeNotTerminating:            podResources,
		corev1.ResourceQuotaScopePriorityClass:             podResources,
		corev1.ResourceQuotaScopeCrossNamespacePodAffinity: podResources,
		corev1.ResourceQuotaScopeVolumeAttributesClass:     sets.New(corev1.ResourcePersistentVolumeClaims, corev1.ResourceRequestsStorage),
	}
)

func (f *findings) conflicts(s sets.Set[corev1.ResourceQuotaScope], value any, p *field.Path) {
	for _, pair := range [][]corev1.ResourceQuotaScope{
		{corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort},
		{corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating},
	} {
		if s.HasAll(pair...) {
			f.invalid(p, value, "conflicting scopes")
		}
	}
}

func (f *findings) scopeOperator(r corev1.ScopedResourceSelectorRequirement, p *field.Path) {
	switch r.ScopeName {
	case corev1.ResourceQuotaScopePriorityClass, corev1.ResourceQuotaScopeVolumeAttributesClass: // they have values
	default:
		if _, known := scopes[r.ScopeName]; known && r.Operator != corev1.ScopeSelectorOpExists {
			f.invalid(p.Child("operator"), r.Operator, "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, "+
				"ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity")
		}
	}
	switch r.Operator {
	case corev1.ScopeSelectorOpIn, corev1.ScopeSelectorOpNotIn:
		if len(r.Values) == 0 {
			f.required(p.Child("values"), "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector")
		}
	case corev1.ScopeSelectorOpExists, corev1.ScopeSelectorOpDoesNotExist:
		if len(r.Values) > 0 {
			f.invalid(p.Child("values"), r.Values, "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector")
		}
	default:
		f.invalid(p.Child("operator"), r.Operator, "not a valid selector operator")
	}
}
