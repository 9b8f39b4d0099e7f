package plugins_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework/frameworktest"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/plugins"
	corev1 "k8s.io/api/core/v1"
	configv1 "k8s.io/kube-scheduler/config/v1"
)

const (
	ssd       = `metadata: {labels: {disk: ssd, cores: "8"}}`
	hdd       = `metadata: {labels: {disk: hdd, cores: "4"}}`
	wrongNode = "UnschedulableAndUnresolvable: node(s) didn't match Pod's node affinity/selector"
)

// required is a pod with a required node affinity of these terms.
func required(terms string) string {
	return `spec: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [` + terms + `]}}}}`
}

func TestNodeAffinity(t *testing.T) {
	plugin, err := plugins.NewNodeAffinity(nil)
	if err != nil {
		t.Fatal(err)
	}
	checkVerdicts(t, plugin, []verdict{
		{name: "no wish", node: hdd},
		{name: "selector", node: ssd, pod: `spec: {nodeSelector: {disk: ssd}}`},
		{name: "selector elsewhere", node: hdd, pod: `spec: {nodeSelector: {disk: ssd}}`, want: wrongNode},
		{name: "In", node: ssd, pod: required(`{matchExpressions: [{key: disk, operator: In, values: [ssd, nvme]}]}`)},
		{name: "NotIn", node: hdd, pod: required(`{matchExpressions: [{key: disk, operator: NotIn, values: [hdd]}]}`), want: wrongNode},
		{name: "Gt", node: ssd, pod: required(`{matchExpressions: [{key: cores, operator: Gt, values: ["4"]}]}`)},
		{name: "Gt is not at least", node: hdd, pod: required(`{matchExpressions: [{key: cores, operator: Gt, values: ["4"]}]}`), want: wrongNode},
		{name: "expressions of a term all hold", node: ssd, want: wrongNode,
			pod: required(`{matchExpressions: [{key: disk, operator: In, values: [ssd]}, {key: gpu, operator: Exists}]}`)},
		{name: "terms are alternatives", node: ssd,
			pod: required(`{matchExpressions: [{key: gpu, operator: Exists}]}, {matchExpressions: [{key: disk, operator: In, values: [ssd]}]}`)},
		{name: "an empty term matches nothing", node: ssd, pod: required(`{}`), want: wrongNode},
		{name: "named", pod: required(`{matchFields: [{key: metadata.name, operator: In, values: [node-1]}]}`)},
		{name: "two names for one field", want: "UnschedulableAndUnresolvable: pod affinity terms conflict",
			pod: required(`{matchFields: [{key: metadata.name, operator: In, values: [a]}, {key: metadata.name, operator: In, values: [b]}]}`)},
	})
	checkHints(t, plugin, []hint{
		{name: "matching node comes", pod: `spec: {nodeSelector: {disk: ssd}}`, event: nodeAdded(t, ssd), want: true},
		{name: "other node comes", pod: `spec: {nodeSelector: {disk: ssd}}`, event: nodeAdded(t, hdd)},
		{name: "node begins to match", pod: `spec: {nodeSelector: {disk: ssd}}`, event: nodeUpdated(t, hdd, ssd), want: true},
		{name: "node has matched before", pod: `spec: {nodeSelector: {disk: ssd}}`, event: nodeUpdated(t, ssd, `metadata: {labels: {disk: ssd, new: label}}`)},
	})
}

func TestNodeAffinityNamesTheOnlyNodesWorthALook(t *testing.T) {
	plugin, err := plugins.NewNodeAffinity(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, terms string
		want        []string
	}{
		{"one term", `{matchFields: [{key: metadata.name, operator: In, values: [b, a]}]}`, []string{"a", "b"}},
		{"two terms", `{matchFields: [{key: metadata.name, operator: In, values: [b]}]}, {matchFields: [{key: metadata.name, operator: In, values: [a, b]}]}`, []string{"a", "b"}},
		{"a term without a name", `{matchFields: [{key: metadata.name, operator: In, values: [b]}]}, {matchExpressions: [{key: gpu, operator: Exists}]}`, nil},
		{"all but one", `{matchFields: [{key: metadata.name, operator: NotIn, values: [b]}]}`, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			result, status := plugin.PreFilter(nil, frameworktest.Pod(t, "new", required(row.terms)))
			if !status.OK() {
				t.Fatal(status.Message())
			}
			if diff := cmp.Diff(row.want, result.Nodes); diff != "" {
				t.Errorf("nodes (-want +got)\n%s", diff)
			}
		})
	}
}

func TestAdministratorAddsNodeAffinity(t *testing.T) {
	plugin, err := plugins.NewNodeAffinity(&configv1.NodeAffinityArgs{AddedAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "disk", Operator: corev1.NodeSelectorOpIn, Values: []string{"ssd"}}}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	checkVerdicts(t, plugin, []verdict{
		{name: "matches", node: ssd},
		{name: "does not match", node: hdd, want: "UnschedulableAndUnresolvable: node(s) didn't match scheduler-enforced node affinity"},
	})
}

func TestPreferredNodeAffinity(t *testing.T) {
	plugin, err := plugins.NewNodeAffinity(nil)
	if err != nil {
		t.Fatal(err)
	}
	pod := frameworktest.Pod(t, "new", `spec: {affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [
		{weight: 3, preference: {matchExpressions: [{key: disk, operator: In, values: [ssd]}]}},
		{weight: 1, preference: {matchExpressions: [{key: cores, operator: Exists}]}}]}}}`)
	snapshot := frameworktest.Snapshot(frameworktest.Node(t, "both", ssd), frameworktest.Node(t, "one", hdd), frameworktest.Node(t, "none", ""))
	want := map[string]int64{"both": 100, "one": 25, "none": 0}
	if diff := cmp.Diff(want, frameworktest.Scores(t, plugin, snapshot, pod)); diff != "" {
		t.Errorf("scores (-want +got)\n%s", diff)
	}
}
