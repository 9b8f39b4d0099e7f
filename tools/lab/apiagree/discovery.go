package apiagree

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
)

// Discovery tells where two servers say different things of a resource that ours has: how
// it is called, what it is, and what can be done with it. What can't be done with ours
// yet is none of it: verbs that the other has besides are counted.
func Discovery(ours, theirs *rest.Config) (lines []string, resources, missing int, err error) {
	for _, old := range []bool{true, false} { // as clients ask that know of nothing else, and as others do
		a, err := discovered(ours, old)
		if err != nil {
			return nil, 0, 0, fmt.Errorf("discover what we serve: %w", err)
		}
		b, err := discovered(theirs, old)
		if err != nil {
			return nil, 0, 0, fmt.Errorf("discover what they serve: %w", err)
		}
		if len(a) == 0 || len(b) == 0 {
			return nil, 0, 0, fmt.Errorf("we serve %d resources and they %d: nothing is compared", len(a), len(b))
		}
		var found []string
		found, missing = compared(a, b)
		lines, resources = append(lines, found...), len(a)
	}
	return lines, resources, missing, nil
}

// discovered are a server's resources by their group, version and name.
func discovered(config *rest.Config, old bool) (map[string]metav1.APIResource, error) {
	c, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	c.UseLegacyDiscovery = old
	_, lists, err := c.ServerGroupsAndResources()
	if err != nil {
		return nil, err
	}
	all := map[string]metav1.APIResource{}
	for _, l := range lists {
		for _, r := range l.APIResources {
			all[l.GroupVersion+" "+r.Name] = r
		}
	}
	return all, nil
}

func compared(ours, theirs map[string]metav1.APIResource) (lines []string, missing int) {
	for name, a := range ours {
		b, both := theirs[name]
		if !both {
			lines = append(lines, name+": ours alone")
			continue
		}
		for _, verb := range a.Verbs {
			if !slices.Contains(b.Verbs, verb) {
				lines = append(lines, fmt.Sprintf("%s: %s: ours alone", name, verb))
			}
		}
		missing += max(0, len(b.Verbs)-len(a.Verbs))
		a.Verbs, b.Verbs = nil, nil
		a.StorageVersionHash, b.StorageVersionHash = "", "" // of a server's own storage
		if !reflect.DeepEqual(a, b) {
			lines = append(lines, fmt.Sprintf("%s:\n  ours   %+v\n  theirs %+v", name, a, b))
		}
	}
	slices.SortFunc(lines, cmp.Compare[string])
	return lines, missing
}
