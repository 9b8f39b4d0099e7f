package validation

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Node checks a node.
func Node(n *corev1.Node) field.ErrorList {
	f := &findings{}
	f.node(n)
	return f.list
}

func (f *findings) node(n *corev1.Node) {
	f.clusterMeta(&n.ObjectMeta, apivalidation.NameIsDNSSubdomain)
	f.taints(n.Spec.Taints, metadata.Child("taints"))
	f.nodeResources(&n.Status)
	if swap := n.Status.NodeInfo.Swap; swap != nil && swap.Capacity != nil {
		atLeast(f, metadata.Child("nodeSwapStatus", "capacity"), *swap.Capacity, 1, "must be greater than zero")
	}
	f.podCIDRs(n.Spec.PodCIDRs, field.NewPath("spec", "podCIDRs"))
	f.declaredFeatures(n.Status.DeclaredFeatures)
}

func (f *findings) declaredFeatures(names []string) {
	for i, name := range names {
		at := field.NewPath("status", "declaredFeatures").Index(i)
		if slices.Contains(names[:i], name) {
			f.list = append(f.list, field.Duplicate(at, name))
		}
		if !feature.MatchString(name) {
			f.invalid(at, name, fmt.Sprintf("invalid feature name %q: must start with an UpperCamelCase segment, "+
				"with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes", name))
		}
	}
}

var feature = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*(/[A-Za-z0-9]+)*$`)

// NodeUpdate checks a change of a node, in all of it.
func NodeUpdate(n, old *corev1.Node) field.ErrorList {
	f := &findings{}
	f.node(n)
	f.nodeUpdate(n, old)
	return f.list
}

// NodeStatusUpdate checks a change of a node's status, and what may not have
// changed beside it.
func NodeStatusUpdate(n, old *corev1.Node) field.ErrorList {
	f := &findings{}
	f.nodeUpdate(n, old)
	f.declaredFeatures(n.Status.DeclaredFeatures)
	return f.list
}

func (f *findings) nodeUpdate(n, old *corev1.Node) {
	spec := field.NewPath("spec")
	f.metaUpdate(&n.ObjectMeta, &old.ObjectMeta)
	f.nodeResources(&n.Status)
	f.addresses(n.Status.Addresses, field.NewPath("status", "addresses"))
	if len(old.Spec.PodCIDRs) > 0 && !slices.Equal(n.Spec.PodCIDRs, old.Spec.PodCIDRs) {
		f.forbidden(spec.Child("podCIDRs"), `node updates may not change podCIDR except from "" to valid`)
	}
	if before := old.Spec.ProviderID; before != "" && n.Spec.ProviderID == "" {
		f.invalid(spec.Child("providerID"), nil, "field cannot be cleared once set")
	} else if before != "" && n.Spec.ProviderID != before {
		f.invalid(spec.Child("providerID"), nil, "field cannot be modified once set")
	}
	f.taints(n.Spec.Taints, metadata.Child("taints"))
	if n.Spec.DoNotUseExternalID != old.Spec.DoNotUseExternalID {
		f.forbidden(spec.Child("externalID"), "may not be updated")
	}
}

func (f *findings) taints(taints []corev1.Taint, p *field.Path) {
	seen := sets.New[string]()
	for i, t := range taints {
		at := p.Index(i)
		f.add(metavalidation.ValidateLabelName(t.Key, at.Child("key")))
		if bad := validation.IsValidLabelValue(t.Value); len(bad) > 0 {
			f.invalid(at.Child("value"), t.Value, strings.Join(bad, ";"))
		}
		oneOf(f, at.Child("effect"), t.Effect, effects...)
		if pair := string(t.Effect) + " " + t.Key; seen.Has(pair) {
			e := field.Duplicate(at, inside{t})
			e.Detail = "taints must be unique by key and effect pair"
			f.list = append(f.list, e)
		} else {
			seen.Insert(pair)
		}
	}
}

var effects = []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}

func (f *findings) nodeResources(s *corev1.NodeStatus) {
	for _, list := range []struct {
		field     string
		resources corev1.ResourceList
	}{{"capacity", s.Capacity}, {"allocatable", s.Allocatable}} {
		for _, name := range slices.Sorted(maps.Keys(list.resources)) {
			f.quantity(name, list.resources[name], field.NewPath("status", list.field, string(name)))
		}
	}
}

// podCIDRs wants at most one range for each family of addresses.
func (f *findings) podCIDRs(ranges []string, p *field.Path) {
	for i, cidr := range ranges {
		f.add(validation.IsValidCIDRForLegacyField(p.Index(i), cidr, strict, nil))
	}
	if len(ranges) > 1 && (len(ranges) > 2 || !dualStack(ranges)) {
		f.invalid(p, ranges, "may specify no more than one CIDR for each IP family")
	}
}

// dualStack: there are addresses, or ranges, of both families.
func dualStack(addresses []string) bool {
	six := func(s string) bool { return strings.Contains(s, ":") }
	return slices.ContainsFunc(addresses, six) && slices.ContainsFunc(addresses, func(s string) bool { return !six(s) })
}

func (f *findings) addresses(addresses []corev1.NodeAddress, p *field.Path) {
	seen := sets.New[corev1.NodeAddress]()
	for i, a := range addresses {
		if seen.Has(a) {
			f.duplicate(p.Index(i), inside{a})
		}
		seen.Insert(a)
	}
}
