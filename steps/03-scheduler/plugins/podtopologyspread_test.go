package plugins_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework/frameworktest"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/plugins"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	configv1 "k8s.io/kube-scheduler/config/v1"
)

const (
	tooSkewed = "Unschedulable: node(s) didn't match pod topology spread constraints"
	noDomain  = "UnschedulableAndUnresolvable: node(s) didn't match pod topology spread constraints (missing required label)"
)

// spreads is a web pod with one constraint over zones; more is added to it.
func spreads(when string, more string) string {
	return `{metadata: {labels: {app: web, hash: new}}, spec: {topologySpreadConstraints: [
		{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ` + when + `, labelSelector: ` + isWeb + more + `}]}}`
}

// village has so many web pods in each of three zones, and a node in none.
func village(t *testing.T, pods [3]int, change func(i int) (node, pod string)) *framework.Snapshot {
	t.Helper()
	nodes := []*framework.Node{frameworktest.Node(t, "none", "")}
	for i, n := range pods {
		nodeText, podText := fmt.Sprintf(`metadata: {labels: {zone: "%d"}}`, i), plainWeb
		if change != nil {
			nodeText, podText = change(i)
		}
		node := frameworktest.Node(t, fmt.Sprint("zone-", i), nodeText)
		for k := range n {
			node.AddPod(frameworktest.Pod(t, fmt.Sprint("web-", i, "-", k), podText))
		}
		nodes = append(nodes, node)
	}
	return frameworktest.Snapshot(nodes...)
}

func TestPodTopologySpread(t *testing.T) {
	zone := func(i int) string { return fmt.Sprintf(`zone: "%d"`, i) }
	for _, row := range []struct {
		name   string
		pods   [3]int
		change func(i int) (node, pod string)
		pod    string
		want   [3]string // for the nodes in the three zones
	}{
		{"no constraint", [3]int{3, 0, 0}, nil, plainWeb, [3]string{}},
		{"even", [3]int{1, 1, 1}, nil, spreads("DoNotSchedule", ""), [3]string{}},
		{"one is ahead", [3]int{2, 1, 1}, nil, spreads("DoNotSchedule", ""), [3]string{tooSkewed, "", ""}},
		{"one is behind", [3]int{1, 0, 1}, nil, spreads("DoNotSchedule", ""), [3]string{tooSkewed, "", tooSkewed}},
		{"a wish is no filter", [3]int{3, 0, 0}, nil, spreads("ScheduleAnyway", ""), [3]string{}},
		{"too few domains", [3]int{1, 1, 1}, nil, spreads("DoNotSchedule", ", minDomains: 4"), [3]string{tooSkewed, tooSkewed, tooSkewed}},
		{"enough domains", [3]int{1, 1, 1}, nil, spreads("DoNotSchedule", ", minDomains: 3"), [3]string{}},
		{"pods about to end do not count", [3]int{2, 0, 0}, func(i int) (string, string) {
			return `metadata: {labels: {` + zone(i) + `}}`, `metadata: {labels: {app: web}, deletionTimestamp: "2026-01-01T00:00:00Z"}`
		}, spreads("DoNotSchedule", ""), [3]string{}},
		{"other namespaces do not count", [3]int{2, 0, 0}, func(i int) (string, string) {
			return `metadata: {labels: {` + zone(i) + `}}`, otherTeam
		}, spreads("DoNotSchedule", ""), [3]string{}},
		{"old pods do not count with matchLabelKeys", [3]int{2, 0, 0}, nil, spreads("DoNotSchedule", ", matchLabelKeys: [hash]"), [3]string{}},
		{"a tainted zone counts", [3]int{1, 1, 0}, func(i int) (string, string) {
			return fmt.Sprintf(`{metadata: {labels: {%s}}, spec: {taints: [{key: k, value: "%d", effect: NoSchedule}]}}`, zone(i), i), plainWeb
		}, `{metadata: {labels: {app: web}}, spec: {tolerations: [{key: k, value: "0"}, {key: k, value: "1"}], topologySpreadConstraints: [
			{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}]}}`,
			[3]string{tooSkewed, tooSkewed, ""}},
		{"a tainted zone does not count if taints are honoured", [3]int{1, 1, 0}, func(i int) (string, string) {
			return fmt.Sprintf(`{metadata: {labels: {%s}}, spec: {taints: [{key: k, value: "%d", effect: NoSchedule}]}}`, zone(i), i), plainWeb
		}, `{metadata: {labels: {app: web}}, spec: {tolerations: [{key: k, value: "0"}, {key: k, value: "1"}], topologySpreadConstraints: [
			{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}, nodeTaintsPolicy: Honor}]}}`,
			[3]string{"", "", ""}},
		{"nodes that the selector leaves out do not count", [3]int{1, 1, 0}, func(i int) (string, string) {
			return fmt.Sprintf(`metadata: {labels: {%s, big: "%v"}}`, zone(i), i < 2), plainWeb
		}, `{metadata: {labels: {app: web}}, spec: {nodeSelector: {big: "true"}, topologySpreadConstraints: [
			{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}]}}`,
			[3]string{"", "", ""}},
	} {
		t.Run(row.name, func(t *testing.T) {
			snapshot, pod := village(t, row.pods, row.change), frameworktest.Pod(t, "new", row.pod)
			for i, want := range row.want {
				if got := frameworktest.Verdict(t, spreadPlugin(t, nil, nil), snapshot, pod, fmt.Sprint("zone-", i)); got != want {
					t.Errorf("zone %d: got %q, want %q", i, got, want)
				}
			}
		})
	}
	snapshot := village(t, [3]int{1, 1, 1}, nil)
	if got := frameworktest.Verdict(t, spreadPlugin(t, nil, nil), snapshot, frameworktest.Pod(t, "new", spreads("DoNotSchedule", "")), "none"); got != noDomain {
		t.Errorf("node without the label: got %q, want %q", got, noDomain)
	}
}

func spreadPlugin(t *testing.T, args *configv1.PodTopologySpreadArgs, together plugins.Together) *plugins.PodTopologySpread {
	t.Helper()
	plugin, err := plugins.NewPodTopologySpread(args, together)
	if err != nil {
		t.Fatal(err)
	}
	return plugin
}

func TestPodTopologySpreadHearsOfPods(t *testing.T) {
	for _, row := range []struct {
		name            string
		pods            [3]int
		from, about     int
		before, without string
	}{
		{"from the fullest", [3]int{2, 1, 1}, 0, 0, tooSkewed, ""},
		{"from the emptiest, which becomes emptier", [3]int{1, 1, 1}, 1, 0, "", tooSkewed},
		{"from one of two that are emptiest", [3]int{3, 2, 2}, 1, 2, "", tooSkewed},
	} {
		t.Run(row.name, func(t *testing.T) {
			snapshot := village(t, row.pods, nil)
			result, status := spreadPlugin(t, nil, nil).PreFilter(snapshot, frameworktest.Pod(t, "new", spreads("DoNotSchedule", "")))
			if !status.OK() {
				t.Fatal(status.Message())
			}
			from := snapshot.Node(fmt.Sprint("zone-", row.from))
			checkTracking(t, result.Filter, snapshot.Node(fmt.Sprint("zone-", row.about)), from.Pods[0], from, row.before, row.without)
		})
	}
}

func TestPreferredSpread(t *testing.T) {
	snapshot := village(t, [3]int{4, 2, 0}, nil)
	got := frameworktest.Scores(t, spreadPlugin(t, nil, nil), snapshot, frameworktest.Pod(t, "new", spreads("ScheduleAnyway", "")))
	want := map[string]int64{"zone-0": 0, "zone-1": 50, "zone-2": 100, "none": 0}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("scores (-want +got)\n%s", diff)
	}
}

func TestDefaultConstraintsSpreadWhatBelongsTogether(t *testing.T) {
	together := func(pod *corev1.Pod) labels.Selector {
		return labels.SelectorFromSet(labels.Set{"app": pod.Labels["app"]})
	}
	list := &configv1.PodTopologySpreadArgs{DefaultingType: configv1.ListDefaulting, DefaultConstraints: []corev1.TopologySpreadConstraint{
		{MaxSkew: 1, TopologyKey: "zone", WhenUnsatisfiable: corev1.DoNotSchedule}}}
	snapshot, pod := village(t, [3]int{4, 2, 0}, nil), frameworktest.Pod(t, "new", plainWeb)

	got := frameworktest.Scores(t, spreadPlugin(t, nil, together), snapshot, pod)
	if !(got["zone-0"] < got["zone-1"] && got["zone-1"] < got["zone-2"]) {
		t.Errorf("system defaults: got %v, want fewer pods on a node to be better", got)
	}
	for node, want := range map[string]string{"zone-0": tooSkewed, "zone-2": "", "none": noDomain} {
		if got := frameworktest.Verdict(t, spreadPlugin(t, list, together), snapshot, pod, node); got != want {
			t.Errorf("list defaults, %s: got %q, want %q", node, got, want)
		}
	}
	if got := frameworktest.Verdict(t, spreadPlugin(t, list, nil), snapshot, pod, "zone-0"); got != "" {
		t.Errorf("a pod that stands alone: got %q", got)
	}
}

func TestPodTopologySpreadHints(t *testing.T) {
	pod := spreads("DoNotSchedule", "")
	checkHints(t, spreadPlugin(t, nil, nil), []hint{
		{name: "counted pod goes", pod: pod, event: podRemoved(t, plainWeb), want: true},
		{name: "other pod goes", pod: pod, event: podRemoved(t, "")},
		{name: "counted pod comes, and raises the minimum", pod: pod, event: podAdded(t, plainWeb), want: true},
		{name: "pod of another namespace comes", pod: pod, event: podAdded(t, otherTeam)},
		{name: "pod is counted no more", pod: pod, event: podUpdated(t, plainWeb, ""), want: true},
		{name: "zone comes", pod: pod, event: nodeAdded(t, zoneOne), want: true},
		{name: "node without a zone comes", pod: pod, event: nodeAdded(t, "")},
		{name: "node moves", pod: pod, event: nodeUpdated(t, zoneOne, zoneTwo), want: true},
		{name: "node changes another label", pod: pod, event: nodeUpdated(t, zoneOne, `metadata: {labels: {zone: "1", a: b}}`)},
		{name: "itself is relabelled", pod: pod, event: selfUpdated(t, plainWeb, ""), want: true},
	})
}
