package validation

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	resourcehelper "k8s.io/component-helpers/resource"
)

// podResources checks what the pod asks for as a whole, and that its containers
// fit into it.
func (f *findings) podResources(s *corev1.PodSpec, p *field.Path) {
	r := s.Resources
	if r == nil {
		return
	}
	if s.OS != nil && s.OS.Name == corev1.Windows {
		f.forbidden(p, "may not be set for a windows pod")
		return
	}
	if r.Claims != nil {
		f.forbidden(p.Child("claims"), "claims may not be set for Resources at pod-level")
	}
	f.wholeList(r.Limits, p.Child("limits"))
	f.wholeList(r.Requests, p.Child("requests"))
	if names := slices.Concat(slices.Collect(maps.Keys(r.Limits)), slices.Collect(maps.Keys(r.Requests))); slices.ContainsFunc(names, isHuge) &&
		!slices.Contains(names, corev1.ResourceCPU) && !slices.Contains(names, corev1.ResourceMemory) {
		f.forbidden(p, "HugePages require cpu or memory")
	}
	together := resourcehelper.AggregateContainerRequests(&corev1.Pod{Spec: *s}, resourcehelper.PodResourcesOptions{})
	for _, name := range slices.Sorted(maps.Keys(r.Requests)) {
		want, limit := r.Requests[name], r.Limits[name]
		switch _, limited := r.Limits[name]; {
		case !overcommits(name) && !limited:
			f.required(p.Child("limits"), "Limit must be set for non overcommitable resources")
		case !overcommits(name) && want.Cmp(limit) != 0:
			f.invalid(p.Child("requests"), want.String(), fmt.Sprintf("must be equal to %s limit of %s", name, limit.String()))
		case limited && want.Cmp(limit) > 0:
			f.invalid(p.Child("requests"), want.String(), fmt.Sprintf("must be less than or equal to %s limit of %s", name, limit.String()))
		}
		if sum := together[name]; sum.Cmp(want) > 0 {
			f.invalid(p.Child("requests").Key(string(name)), want.String(),
				fmt.Sprintf("must be greater than or equal to aggregate container requests of %s", sum.String()))
		}
	}
	for i, c := range s.Containers {
		for _, name := range slices.Sorted(maps.Keys(c.Resources.Limits)) {
			own, limit := c.Resources.Limits[name], r.Limits[name]
			if _, limited := r.Limits[name]; limited && own.Cmp(limit) > 0 {
				f.invalid(p.Child("containers").Index(i).Key(string(name)).Child("limits"), own.String(),
					fmt.Sprintf("must be less than or equal to pod limits of %s", limit.String()))
			}
		}
	}
}

// wholeList checks amounts for a pod as a whole: only of what containers can share.
func (f *findings) wholeList(list corev1.ResourceList, p *field.Path) {
	for _, name := range slices.Sorted(maps.Keys(list)) {
		at := p.Key(string(name))
		before := len(f.list)
		f.resourceName(name, at)
		if len(f.list) == before && name != corev1.ResourceCPU && name != corev1.ResourceMemory && !isHuge(name) {
			f.list = append(f.list, field.NotSupported(at, name, []string{"cpu", "hugepages-", "memory"}))
		}
		f.quantity(name, list[name], at)
		f.pages(name, list[name], at)
	}
}
