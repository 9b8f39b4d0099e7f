package preempt_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/decide"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework/frameworktest"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/plugins"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/preempt"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A guest is a pod on a node: its name, and what it needs in the shorthand
// "PRIORITY CPU MINUTE", the minute in which it started.
type guest struct {
	name                  string
	priority, cpu, minute int
}

func (g guest) pod(t *testing.T) *framework.Pod {
	return frameworktest.Pod(t, g.name, fmt.Sprintf(`{metadata: {labels: {app: %s}}, status: {startTime: "2026-01-01T00:%02d:00Z"},
		spec: {priority: %d, containers: [{name: c, resources: {requests: {cpu: %d}}}]}}`, g.name[:1], g.minute, g.priority, g.cpu))
}

// house has nodes with 4 processors each and guests on them.
func house(t *testing.T, guests map[string][]guest) *framework.Snapshot {
	t.Helper()
	var nodes []*framework.Node
	for name, on := range guests {
		node := frameworktest.Node(t, name, "")
		for _, g := range on {
			node.AddPod(g.pod(t))
		}
		nodes = append(nodes, node)
	}
	return frameworktest.Snapshot(nodes...)
}

func budget(app string, allowed int32) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: app, Namespace: "default"},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}},
		Status:     policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: allowed},
	}
}

func plan(t *testing.T, snapshot *framework.Snapshot, pod *framework.Pod, budgets ...*policyv1.PodDisruptionBudget) preempt.Plan {
	t.Helper()
	profile := &decide.Profile{Parallelism: 1}
	for _, d := range plugins.Defaults {
		plugin, err := plugins.New(d.Name, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		switch plugin.(type) {
		case framework.FilterPlugin, framework.PreFilterPlugin:
			profile.Filters = append(profile.Filters, plugin)
		}
	}
	random := frameworktest.Rand()
	d := decide.Decide(snapshot, pod, profile, decide.From{Rand: random})
	if d.Err == nil {
		t.Fatalf("the pod fits on %s", d.Node)
	}
	return preempt.Preempt(snapshot, d, preempt.Options{Budgets: budgets, MinNodes: 100, MinPercentage: 10, Rand: random, Now: time.Date(2026, 1, 1, 1, 0, 0, 0, time.UTC)})
}

func TestPreempt(t *testing.T) {
	for _, row := range []struct {
		name    string
		guests  map[string][]guest
		cpu     int
		budgets []*policyv1.PodDisruptionBudget
		node    string
		victims []string
	}{
		{"the only one", map[string][]guest{"x": {{"a", 0, 4, 0}}}, 4, nil, "x", []string{"a"}},
		{"nobody is lower", map[string][]guest{"x": {{"a", 100, 4, 0}}}, 4, nil, "", nil},
		{"as few as possible", map[string][]guest{"x": {{"a", 0, 1, 0}, {"b", 0, 2, 0}, {"c", 0, 1, 0}}}, 2, nil, "x", []string{"b"}},
		{"the less important one", map[string][]guest{"x": {{"a", 5, 2, 0}, {"b", 1, 2, 0}}}, 2, nil, "x", []string{"b"}},
		{"the younger one", map[string][]guest{"x": {{"a", 0, 2, 7}, {"b", 0, 2, 3}}}, 2, nil, "x", []string{"a"}},
		{"most important first", map[string][]guest{"x": {{"a", 1, 2, 0}, {"b", 2, 2, 0}}}, 4, nil, "x", []string{"b", "a"}},
		{"the node where the highest is lowest", map[string][]guest{"x": {{"a", 9, 4, 0}}, "y": {{"b", 5, 2, 0}, {"c", 5, 2, 0}}}, 4, nil, "y", []string{"b", "c"}},
		{"then the smaller sum", map[string][]guest{"x": {{"a", 5, 2, 0}, {"b", 5, 2, 0}}, "y": {{"c", 5, 2, 0}, {"d", 1, 2, 0}}}, 4, nil, "y", []string{"c", "d"}},
		{"then fewer, priorities below 0 too", map[string][]guest{"x": {{"a", -5, 2, 0}, {"b", -5, 2, 0}}, "y": {{"c", -5, 4, 0}}}, 4, nil, "y", []string{"c"}},
		{"then the youngest", map[string][]guest{"x": {{"a", 0, 4, 3}}, "y": {{"b", 0, 4, 9}}}, 4, nil, "y", []string{"b"}},
		{"budgets first of all", map[string][]guest{"x": {{"a", 0, 4, 0}}, "y": {{"b", 9, 4, 0}}}, 4, []*policyv1.PodDisruptionBudget{budget("a", 0)}, "y", []string{"b"}},
		{"a budget that allows one", map[string][]guest{"x": {{"a", 0, 4, 0}}, "y": {{"b", 9, 4, 0}}}, 4, []*policyv1.PodDisruptionBudget{budget("a", 1)}, "x", []string{"a"}},
		{"who has a budget is put back first", map[string][]guest{"x": {{"a", 0, 2, 0}, {"b", 9, 2, 0}}}, 2, []*policyv1.PodDisruptionBudget{budget("a", 0)}, "x", []string{"b"}},
		{"a budget is broken where there is no choice", map[string][]guest{"x": {{"a", 0, 4, 0}}}, 4, []*policyv1.PodDisruptionBudget{budget("a", 0)}, "x", []string{"a"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := plan(t, house(t, row.guests), guest{"new", 100, row.cpu, 0}.pod(t), row.budgets...)
			var victims []string
			for _, victim := range got.Victims {
				victims = append(victims, victim.Name)
			}
			if got.Node != row.node || !slices.Equal(victims, row.victims) {
				t.Errorf("got node %q, victims %v, want %q, %v (%s)", got.Node, victims, row.node, row.victims, got.Message)
			}
		})
	}
}

func TestWhatIsSaid(t *testing.T) {
	tooLarge := `{spec: {priority: 1, containers: [{name: c, resources: {requests: {cpu: 8}}}]}}`
	never := `{spec: {priority: 1, preemptionPolicy: Never, containers: [{name: c, resources: {requests: {cpu: 4}}}]}}`
	waits := `{spec: {priority: 1, containers: [{name: c, resources: {requests: {cpu: 4}}}]}, status: {nominatedNodeName: x}}`
	going := `{metadata: {deletionTimestamp: "2026-01-01T00:00:00Z"}, spec: {containers: [{name: c, resources: {requests: {cpu: 4}}}]},
		status: {conditions: [{type: DisruptionTarget, status: "True", reason: PreemptionByScheduler}]}}`
	stays := `{spec: {priority: 5, containers: [{name: c, resources: {requests: {cpu: 1}}}]}}`
	lower := `{spec: {containers: [{name: c, resources: {requests: {cpu: 1}}}]}}`
	for _, row := range []struct {
		name, pod string
		guests    []string
		want      string
		keep      bool
	}{
		{"no node is large enough", tooLarge, nil, "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.", false},
		{"may not", never, []string{lower}, "preemption: not eligible due to preemptionPolicy=Never.", true},
		{"victims are on their way", waits, []string{going}, "preemption: not eligible due to a terminating pod on the nominated node.", true},
		{"nobody is lower", waits, []string{stays}, "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.", false},
		{"not enough is lower", waits, []string{stays, lower}, "preemption: 0/1 nodes are available: 1 Insufficient cpu.", false},
		{"found", waits, []string{lower}, "preemption: found a potential placement for pod on node x, preempting 1 victims", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			node := frameworktest.Node(t, "x", "")
			for i, text := range row.guests {
				node.AddPod(frameworktest.Pod(t, fmt.Sprint("guest-", i), text))
			}
			got := plan(t, frameworktest.Snapshot(node), frameworktest.Pod(t, "new", row.pod))
			if got.Message != row.want || got.Keep != row.keep {
				t.Errorf("got %q, keep %v\nwant %q, keep %v", got.Message, got.Keep, row.want, row.keep)
			}
		})
	}
}

func TestWhoWasNominatedBeforeIsDisplaced(t *testing.T) {
	for name, tt := range map[string]struct {
		going bool // the victim
		want  []string
	}{
		"by one who makes others go": {false, []string{"low"}},
		"not by one who just waits":  {true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			snapshot := house(t, map[string][]guest{"x": {{"a", 0, 4, 0}}})
			if tt.going {
				snapshot.Nodes[0].Pods[0].DeletionTimestamp = &metav1.Time{}
			}
			snapshot.Nominated = map[string][]*framework.Pod{"x": {guest{"low", 1, 1, 0}.pod(t), guest{"high", 200, 1, 0}.pod(t)}}
			var names []string
			for _, pod := range plan(t, snapshot, guest{"new", 100, 3, 0}.pod(t)).Displaced {
				names = append(names, pod.Name)
			}
			if diff := cmp.Diff(tt.want, names); diff != "" {
				t.Errorf("displaced (-want +got)\n%s", diff)
			}
		})
	}
}
