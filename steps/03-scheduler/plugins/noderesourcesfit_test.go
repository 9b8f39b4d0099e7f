package plugins_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework/frameworktest"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/plugins"
	configv1 "k8s.io/kube-scheduler/config/v1"
)

// asks is a pod with one container that asks for so much.
func asks(requests string) string {
	return `spec: {containers: [{name: c, resources: {requests: {` + requests + `}}}]}`
}

// gives is a node that has so much, beside what it has by default.
func gives(allocatable string) string { return `status: {allocatable: {` + allocatable + `}}` }

func fit(t *testing.T, args *configv1.NodeResourcesFitArgs) *plugins.NodeResourcesFit {
	t.Helper()
	plugin, err := plugins.NewNodeResourcesFit(args)
	if err != nil {
		t.Fatal(err)
	}
	return plugin
}

func TestNodeResourcesFit(t *testing.T) {
	checkVerdicts(t, fit(t, nil), []verdict{
		{name: "asks for nothing", other: asks(`cpu: 4`)},
		{name: "just fits", pod: asks(`cpu: 3`), other: asks(`cpu: 1`)},
		{name: "not while the other is there", pod: asks(`cpu: 3500m`), other: asks(`cpu: 1`), want: "Unschedulable: Insufficient cpu"},
		{name: "never", pod: asks(`cpu: 5`), want: "UnschedulableAndUnresolvable: Insufficient cpu"},
		{name: "two reasons", pod: asks(`cpu: 4, memory: 8Gi`), other: asks(`cpu: 1, memory: 1Gi`),
			want: "Unschedulable: Insufficient cpu, Insufficient memory"},
		{name: "one of two reasons for good", pod: asks(`cpu: 4, memory: 9Gi`), other: asks(`cpu: 1`),
			want: "UnschedulableAndUnresolvable: Insufficient cpu, Insufficient memory"},
		{name: "too many pods", node: gives(`pods: 1`), other: asks(``), want: "Unschedulable: Too many pods"},
		{name: "storage", pod: asks(`ephemeral-storage: 2Gi`), node: gives(`ephemeral-storage: 1Gi`),
			want: "UnschedulableAndUnresolvable: Insufficient ephemeral-storage"},
		{name: "extended", pod: asks(`example.com/gpu: 1`), node: gives(`example.com/gpu: 1`)},
		{name: "extended taken", pod: asks(`example.com/gpu: 1`), node: gives(`example.com/gpu: 1`), other: asks(`example.com/gpu: 1`),
			want: "Unschedulable: Insufficient example.com/gpu"},
		{name: "extended not there", pod: asks(`example.com/gpu: 1`), want: "UnschedulableAndUnresolvable: Insufficient example.com/gpu"},
		{name: "none of it asked for", pod: asks(`example.com/gpu: 0`)},
		{name: "init containers run one by one", pod: `spec: {
			initContainers: [{name: a, resources: {requests: {cpu: 3}}}, {name: b, resources: {requests: {cpu: 4}}}],
			containers: [{name: c, resources: {requests: {cpu: 2}}}]}`},
		{name: "sidecars keep running", pod: `spec: {
			initContainers: [{name: a, restartPolicy: Always, resources: {requests: {cpu: 3}}}],
			containers: [{name: c, resources: {requests: {cpu: 2}}}]}`, want: "UnschedulableAndUnresolvable: Insufficient cpu"},
		{name: "overhead", pod: `spec: {overhead: {cpu: 1}, containers: [{name: c, resources: {requests: {cpu: 3500m}}}]}`,
			want: "UnschedulableAndUnresolvable: Insufficient cpu"},
		{name: "the pod as a whole asks for less than its containers", pod: `spec: {resources: {requests: {cpu: 4}}, containers: [
			{name: c, resources: {requests: {cpu: 3}}}, {name: d, resources: {requests: {cpu: 3}}}]}`},
	})
	checkVerdicts(t, fit(t, &configv1.NodeResourcesFitArgs{IgnoredResourceGroups: []string{"example.com"}, IgnoredResources: []string{"a.io/b"}}), []verdict{
		{name: "ignored", pod: asks(`a.io/b: 1, example.com/gpu: 1`)},
		{name: "not ignored", pod: asks(`a.io/c: 1`), want: "UnschedulableAndUnresolvable: Insufficient a.io/c"},
	})
	checkHints(t, fit(t, nil), []hint{
		{name: "a pod goes", event: podRemoved(t, ""), want: true},
		{name: "a pod asks for less", pod: asks(`cpu: 1`), event: podUpdated(t, asks(`cpu: 2`), asks(`cpu: 1`)), want: true},
		{name: "a pod asks for less of something else", pod: asks(`cpu: 1`), event: podUpdated(t, asks(`memory: 2Gi`), asks(`memory: 1Gi`))},
		{name: "a node comes", pod: asks(`cpu: 4`), event: nodeAdded(t, ""), want: true},
		{name: "a node comes that is too small", pod: asks(`cpu: 5`), event: nodeAdded(t, "")},
		{name: "a node grows", pod: asks(`cpu: 5`), event: nodeUpdated(t, "", gives(`cpu: 8`)), want: true},
		{name: "a node grows where it is of no use", pod: asks(`cpu: 2`), event: nodeUpdated(t, "", gives(`memory: 16Gi`))},
		{name: "itself asks for less", event: selfUpdated(t, asks(`cpu: 5`), asks(`cpu: 4`)), want: true},
	})
}

func TestStrategies(t *testing.T) {
	ratio := &configv1.RequestedToCapacityRatioParam{Shape: []configv1.UtilizationShapePoint{
		{Utilization: 0, Score: 0}, {Utilization: 50, Score: 10}, {Utilization: 100, Score: 0}}}
	gpu := []configv1.ResourceSpec{{Name: "cpu", Weight: 1}, {Name: "example.com/gpu", Weight: 3}}
	for _, row := range []struct {
		name     string
		strategy *configv1.ScoringStrategy
		pod      string
		want     map[string]int64
	}{
		// Of 4 processors and 8Gi: with the pod, "half" has 3 and 4Gi taken, "empty" 1 and 2Gi.
		{"least by default", nil, asks(`cpu: 1, memory: 2Gi`), map[string]int64{"half": 37, "empty": 75}},
		{"most", &configv1.ScoringStrategy{Type: configv1.MostAllocated}, asks(`cpu: 1, memory: 2Gi`), map[string]int64{"half": 62, "empty": 25}},
		{"a curve with its top in the middle", &configv1.ScoringStrategy{Type: configv1.RequestedToCapacityRatio, RequestedToCapacityRatio: ratio},
			asks(`cpu: 1, memory: 2Gi`), map[string]int64{"half": 75, "empty": 50}},
		{"who asks for nothing counts a little", nil, asks(``), map[string]int64{"half": 59, "empty": 97}},
		{"no GPU wanted, none counted", &configv1.ScoringStrategy{Type: configv1.LeastAllocated, Resources: gpu}, asks(`cpu: 1`),
			map[string]int64{"half": 25, "empty": 75}},
		{"a GPU counts three times", &configv1.ScoringStrategy{Type: configv1.LeastAllocated, Resources: gpu}, asks(`cpu: 1, example.com/gpu: 1`),
			map[string]int64{"half": 43, "empty": 56}},
	} {
		t.Run(row.name, func(t *testing.T) {
			snapshot := frameworktest.Snapshot(
				frameworktest.Node(t, "empty", gives(`example.com/gpu: 2`)),
				frameworktest.Node(t, "half", gives(`example.com/gpu: 2`), frameworktest.Pod(t, "other", asks(`cpu: 2, memory: 2Gi`))),
			)
			plugin := fit(t, &configv1.NodeResourcesFitArgs{ScoringStrategy: row.strategy})
			if diff := cmp.Diff(row.want, frameworktest.Scores(t, plugin, snapshot, frameworktest.Pod(t, "new", row.pod))); diff != "" {
				t.Errorf("scores (-want +got)\n%s", diff)
			}
		})
	}
}

func TestBadStrategiesAreRefused(t *testing.T) {
	for _, strategy := range []*configv1.ScoringStrategy{{Type: "Best"}, {Type: configv1.RequestedToCapacityRatio}} {
		if _, err := plugins.NewNodeResourcesFit(&configv1.NodeResourcesFitArgs{ScoringStrategy: strategy}); err == nil {
			t.Errorf("%+v: got no error", strategy)
		}
	}
}
