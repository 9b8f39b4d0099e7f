package profile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/config"
)

// profileOf makes the only profile of a configuration with these plugins.
func profileOf(t *testing.T, plugins string) (string, error) {
	t.Helper()
	c, err := config.Decode([]byte("apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nprofiles: [{plugins: " + plugins + "}]"))
	if err != nil {
		t.Fatal(err)
	}
	all, err := All(c, nil)
	if err != nil {
		return "", err
	}
	p := all["default-scheduler"]
	var filters, scores []string
	for _, f := range p.Filters {
		filters = append(filters, f.Name())
	}
	for _, s := range p.Scores {
		scores = append(scores, fmt.Sprintf("%s:%d", s.Plugin.Name(), s.Weight))
	}
	return fmt.Sprintf("filters %v scores %v held by %d preempts %v", filters, scores, len(p.PreEnqueue), p.Preemption != nil), nil
}

func TestProfiles(t *testing.T) {
	const filters = "filters [NodeName NodeUnschedulable TaintToleration NodeAffinity NodePorts NodeResourcesFit PodTopologySpread InterPodAffinity]"
	const scores = " scores [TaintToleration:3 NodeAffinity:2 NodeResourcesFit:1 PodTopologySpread:2 InterPodAffinity:2 NodeResourcesBalancedAllocation:1 ImageLocality:1]"
	for _, c := range []struct{ name, plugins, want string }{
		{"default", "{}", filters + scores + " held by 1 preempts true"},
		{"off at one point", "{filter: {disabled: [{name: '*'}]}}", "filters []" + scores + " held by 1 preempts true"},
		{"on at one point alone", "{score: {disabled: [{name: '*'}], enabled: [{name: ImageLocality, weight: 5}]}}", filters + " scores [ImageLocality:5] held by 1 preempts true"},
		{"off everywhere", "{multiPoint: {disabled: [{name: DefaultPreemption}, {name: SchedulingGates}]}}", filters + scores + " held by 0 preempts false"},
		{"only those", "{multiPoint: {disabled: [{name: '*'}], enabled: [{name: PrioritySort}, {name: DefaultBinder}, {name: NodeName}]}}", "filters [NodeName] scores [] held by 0 preempts false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := profileOf(t, c.plugins)
			if err != nil || got != c.want {
				t.Errorf("got  %s (%v)\nwant %s", got, err, c.want)
			}
		})
	}
}

func TestProfilesThatCannotBe(t *testing.T) {
	for _, c := range []struct{ name, plugins, want string }{
		{"unknown", "{multiPoint: {enabled: [{name: Mine}]}}", "profiles[0].plugins.multiPoint.enabled[14]: plugin Mine: there is no plugin of this name"},
		{"wrong point", "{score: {enabled: [{name: NodeName}]}}", "profiles[0].plugins.score.enabled: Invalid value: \"NodeName\": the plugin does not work at this point"},
		{"twice", "{filter: {enabled: [{name: NodeName}, {name: NodeName}]}}", "profiles[0].plugins.filter.enabled[1]: Duplicate value: \"NodeName\""},
		{"a weight that counts against", "{score: {enabled: [{name: NodeAffinity, weight: -1}]}}", "profiles[0].plugins.score.enabled[0].weight: Invalid value: -1: must be non-negative"},
		{"no sort", "{queueSort: {disabled: [{name: PrioritySort}]}}", "only one queue sort plugin can be enabled, and one has to be"},
		{"no bind", "{multiPoint: {disabled: [{name: DefaultBinder}]}}", "profiles[0].plugins.bind: Required value: at least one bind plugin is needed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := profileOf(t, c.plugins)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}
