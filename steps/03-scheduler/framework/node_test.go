package framework_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework/frameworktest"
	corev1 "k8s.io/api/core/v1"
)

// sums are a node's, in a form to compare.
type sums struct {
	Pods               int
	Requested, NonZero framework.Resources
	Ports              int
	Groups             []int64
}

func sumsOf(n *framework.Node) sums {
	s := sums{len(n.Pods), n.Requested, n.NonZero, len(n.Ports), nil}
	for _, g := range n.Groups {
		s.Groups = append(s.Groups, g.Count)
	}
	return s
}

func TestNodeSumsItsPods(t *testing.T) {
	const web = `{metadata: {labels: {app: web}}, spec: {containers: [{name: c, ports: [{hostPort: 80}], resources: {requests: {cpu: 1, example.com/gpu: 1}}}]}}`
	a, b, c := frameworktest.Pod(t, "a", web), frameworktest.Pod(t, "b", web), frameworktest.Pod(t, "c", `spec: {containers: [{name: c}]}`)
	node := frameworktest.Node(t, "node-1", "", a, b)
	gpu := map[corev1.ResourceName]int64{"example.com/gpu": 2}
	const mem = 200 << 20 // what a container without a request counts for
	two := sums{2, framework.Resources{MilliCPU: 2000, Extended: gpu}, framework.Resources{MilliCPU: 2000, Memory: 2 * mem, Extended: gpu}, 2, []int64{2}}
	if diff := cmp.Diff(two, sumsOf(node)); diff != "" {
		t.Errorf("two pods (-want +got)\n%s", diff)
	}
	clone := node.Clone()
	clone.AddPod(c)
	if err := clone.RemovePod(a); err != nil {
		t.Fatal(err)
	}
	one := map[corev1.ResourceName]int64{"example.com/gpu": 1}
	want := sums{2, framework.Resources{MilliCPU: 1000, Extended: one}, framework.Resources{MilliCPU: 1100, Memory: 2 * mem, Extended: one}, 1, []int64{1, 1}}
	if diff := cmp.Diff(want, sumsOf(clone)); diff != "" {
		t.Errorf("the clone after a change (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(two, sumsOf(node)); diff != "" {
		t.Errorf("the node that was cloned (-want +got)\n%s", diff)
	}
	if err := node.RemovePod(c); err == nil {
		t.Error("a pod that is not there was removed")
	}
}

func TestClassesTellPodsApartThatSelectorsTellApart(t *testing.T) {
	base := `metadata: {labels: {app: web, tier: front}}`
	for _, row := range []struct {
		name, pod string
		same      bool
	}{
		{"labels in another order", `metadata: {labels: {tier: front, app: web}}`, true},
		{"another value", `metadata: {labels: {app: web, tier: back}}`, false},
		{"a value that looks like a key", `metadata: {labels: {app: web, tierfront: ""}}`, false},
		{"another namespace", `metadata: {namespace: other, labels: {app: web, tier: front}}`, false},
		{"terminating", `metadata: {labels: {app: web, tier: front}, deletionTimestamp: "2026-01-01T00:00:00Z"}`, false},
		{"other resources", `{metadata: {labels: {app: web, tier: front}}, spec: {containers: [{name: c, resources: {requests: {cpu: 1}}}]}}`, true},
		{"affinity", `{metadata: {labels: {app: web, tier: front}}, spec: {affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: zone}]}}}}`, false},
	} {
		a, b := frameworktest.Pod(t, "a", base), frameworktest.Pod(t, "b", row.pod)
		if got := a.Class == b.Class; got != row.same {
			t.Errorf("%s: got same class %v, want %v", row.name, got, row.same)
		}
	}
}

func TestEventsLeaveOutWhatCannotMatter(t *testing.T) {
	node := func(text string) *corev1.Node { return frameworktest.Node(t, "node-1", text).Node }
	for _, row := range []struct {
		name, before, after string
		want                framework.Action
	}{
		{"heartbeat", "", `status: {conditions: [{type: Ready, lastHeartbeatTime: "2026-01-01T00:00:00Z"}]}`, 0},
		{"cordoned", "", `spec: {unschedulable: true}`, 0},
		{"uncordoned", `spec: {unschedulable: true}`, "", framework.NodeTaints},
		{"taint gone", `spec: {taints: [{key: k, effect: NoSchedule}]}`, "", framework.NodeTaints},
		{"label and size", "", `{metadata: {labels: {a: b}}, status: {allocatable: {cpu: 8}}}`, framework.NodeRelabelled | framework.NodeAllocatable},
	} {
		if got := framework.NodeUpdated(node(row.before), node(row.after)).Action; got != row.want {
			t.Errorf("%s: got %b, want %b", row.name, got, row.want)
		}
	}
}
