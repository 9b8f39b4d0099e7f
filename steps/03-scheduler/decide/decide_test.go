package decide_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/decide"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework/frameworktest"
)

func decision(t *testing.T, snapshot *framework.Snapshot, pod string) *decide.Decision {
	t.Helper()
	return decide.Decide(snapshot, frameworktest.Pod(t, "new", pod), defaultProfile(t), decide.From{Rand: frameworktest.Rand()})
}

func TestDecide(t *testing.T) {
	for _, row := range []struct {
		name  string
		nodes map[string]string // YAML by name
		pod   string
		want  string
		err   string
	}{
		{name: "no nodes", err: "no nodes available to schedule pods"},
		{name: "one node", nodes: map[string]string{"a": ""}, want: "a"},
		{name: "the emptier node", want: "large", pod: `spec: {containers: [{name: c, resources: {requests: {cpu: 2}}}]}`,
			nodes: map[string]string{"small": "", "large": `status: {allocatable: {cpu: 32, memory: 64Gi}}`}},
		{name: "a wish outweighs emptiness", want: "small", nodes: map[string]string{"small": `metadata: {labels: {disk: ssd}}`, "large": `status: {allocatable: {cpu: 32, memory: 64Gi}}`},
			pod: `spec: {affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference: {matchExpressions: [{key: disk, operator: Exists}]}}]}}}`},
		{name: "nothing fits", pod: `spec: {containers: [{name: c, resources: {requests: {cpu: 8, memory: 1Gi}}}]}`,
			nodes: map[string]string{"a": "", "b": `status: {allocatable: {memory: 512Mi}}`, "c": `spec: {taints: [{key: k, effect: NoSchedule}]}`},
			err:   "0/3 nodes are available: 1 Insufficient memory, 1 node(s) had untolerated taint(s), 2 Insufficient cpu."},
		{name: "the named node does not exist", nodes: map[string]string{"a": "", "b": ""},
			pod: `spec: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchFields: [{key: metadata.name, operator: In, values: [c]}]}]}}}}`,
			err: "0/2 nodes are available: 2 node(s) didn't satisfy plugin(s) [NodeAffinity]."},
		{name: "the named node is full", nodes: map[string]string{"a": `status: {allocatable: {pods: 0}}`, "b": ""},
			pod: `spec: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchFields: [{key: metadata.name, operator: In, values: [a]}]}]}}}}`,
			err: "0/2 nodes are available: 1 Too many pods, 1 node(s) didn't satisfy plugin(s) [NodeAffinity]."},
		{name: "a contradiction", nodes: map[string]string{"a": "", "b": ""},
			pod: `spec: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchFields: [
				{key: metadata.name, operator: In, values: [a]}, {key: metadata.name, operator: In, values: [b]}]}]}}}}`,
			err: "0/2 nodes are available: pod affinity terms conflict."},
		{name: "two plugins that leave different nodes", nodes: map[string]string{"a": "", "b": ""},
			pod: `spec: {nodeName: a, affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchFields: [{key: metadata.name, operator: In, values: [b]}]}]}}}}`,
			err: "0/2 nodes are available: node(s) didn't satisfy plugin(s) [NodeAffinity NodeName] simultaneously."},
		{name: "back to where room was made", want: "small", pod: `status: {nominatedNodeName: small}`,
			nodes: map[string]string{"small": "", "large": `status: {allocatable: {cpu: 32, memory: 64Gi}}`}},
		{name: "back to where there is no room any more", want: "b", pod: `status: {nominatedNodeName: a}`,
			nodes: map[string]string{"a": `spec: {unschedulable: true}`, "b": ""}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var nodes []*framework.Node
			for name, text := range row.nodes {
				nodes = append(nodes, frameworktest.Node(t, name, text))
			}
			d := decision(t, frameworktest.Snapshot(nodes...), row.pod)
			text := ""
			if d.Err != nil {
				text = d.Err.Error()
			}
			if d.Node != row.want || text != row.err {
				t.Errorf("got node %q, error %q\nwant node %q, error %q", d.Node, text, row.want, row.err)
			}
		})
	}
}

func TestRejectionsNameThePlugins(t *testing.T) {
	d := decision(t, frameworktest.Snapshot(
		frameworktest.Node(t, "a", `spec: {unschedulable: true}`), frameworktest.Node(t, "b", ""),
	), `spec: {containers: [{name: c, resources: {requests: {cpu: 8}}}]}`)
	var fit *decide.FitError
	if !errors.As(d.Err, &fit) {
		t.Fatalf("got error %v", d.Err)
	}
	if diff := cmp.Diff([]string{"NodeResourcesFit", "NodeUnschedulable"}, fit.Plugins()); diff != "" {
		t.Errorf("plugins (-want +got)\n%s", diff)
	}
}

func TestNominatedPodsKeepTheirPlace(t *testing.T) {
	nominated := frameworktest.Pod(t, "nominated", `spec: {priority: 10, containers: [{name: c, resources: {requests: {cpu: 3}}}]}`)
	for _, row := range []struct {
		name, pod string
		fits      bool
	}{
		{"lower priority", `spec: {containers: [{name: c, resources: {requests: {cpu: 2}}}]}`, false},
		{"the same priority", `spec: {priority: 10, containers: [{name: c, resources: {requests: {cpu: 2}}}]}`, false},
		{"higher priority", `spec: {priority: 11, containers: [{name: c, resources: {requests: {cpu: 2}}}]}`, true},
		{"small enough for both", `spec: {containers: [{name: c, resources: {requests: {cpu: 1}}}]}`, true},
		{"wants to be near who is not there yet", `spec: {affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [
			{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: nominated}}}]}}}`, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			snapshot := frameworktest.Snapshot(frameworktest.Node(t, "a", ""))
			snapshot.Nominated = map[string][]*framework.Pod{"a": {nominated}}
			if d := decision(t, snapshot, row.pod); (d.Err == nil) != row.fits {
				t.Errorf("got error %v, want fits %v", d.Err, row.fits)
			}
		})
	}
	snapshot := frameworktest.Snapshot(frameworktest.Node(t, "a", ""))
	snapshot.Nominated = map[string][]*framework.Pod{"a": {nominated}}
	if d := decide.Decide(snapshot, nominated, defaultProfile(t), decide.From{Rand: frameworktest.Rand()}); d.Node != "a" {
		t.Errorf("the nominated pod itself: got error %v", d.Err)
	}
}

// uniform is a cluster of nodes that are all alike.
func uniform(t *testing.T, n int) *framework.Snapshot {
	t.Helper()
	var nodes []*framework.Node
	for i := range n {
		nodes = append(nodes, frameworktest.Node(t, fmt.Sprintf("node-%05d", i), ""))
	}
	return frameworktest.Snapshot(nodes...)
}

func TestTheSearchEndsEarlyAndGoesOn(t *testing.T) {
	for _, row := range []struct{ nodes, percentage, want int }{
		{50, 0, 50}, {99, 10, 99}, {100, 0, 100}, {200, 0, 100}, {1000, 0, 420}, {5000, 0, 500}, {7000, 0, 350}, {1000, 100, 1000}, {1000, 1, 100},
	} {
		profile, snapshot := defaultProfile(t), uniform(t, row.nodes)
		profile.PercentageOfNodesToScore = row.percentage
		pod, from := frameworktest.Pod(t, "new", ""), decide.From{Rand: frameworktest.Rand()}
		first := decide.Decide(snapshot, pod, profile, from)
		if len(first.Feasible) != row.want || first.Looked != row.want {
			t.Errorf("%d nodes, %d%%: got %d feasible of %d, want %d", row.nodes, row.percentage, len(first.Feasible), first.Looked, row.want)
		}
		from.Start += first.Looked
		second := decide.Decide(snapshot, pod, profile, from)
		if want := snapshot.Nodes[first.Looked%row.nodes]; second.Feasible[0] != want {
			t.Errorf("%d nodes: the second search begins at %s, want %s", row.nodes, second.Feasible[0].Name, want.Name)
		}
	}
}

// TestGoroutinesDoNotChangeTheDecision looks at a cluster in which every third
// node is full with one goroutine and with many.
func TestGoroutinesDoNotChangeTheDecision(t *testing.T) {
	snapshot := uniform(t, 2000)
	var full []*framework.Node
	for i := 0; i < 2000; i += 3 {
		node := snapshot.Nodes[i].Clone()
		node.AddPod(frameworktest.Pod(t, fmt.Sprint("pod-", i), `spec: {containers: [{name: c, resources: {requests: {cpu: 4}}}]}`))
		full = append(full, node)
	}
	snapshot.Update(full)
	pod := frameworktest.Pod(t, "new", `spec: {containers: [{name: c, resources: {requests: {cpu: 1}}}]}`)
	look := func(parallelism int) decide.Explanation {
		profile := defaultProfile(t)
		profile.Parallelism = parallelism
		d := decide.Decide(snapshot, pod, profile, decide.From{Start: 1500, Rand: frameworktest.Rand()})
		return d.Explain()
	}
	if diff := cmp.Diff(look(1), look(16)); diff != "" {
		t.Errorf("decision (-one goroutine +many)\n%s", diff)
	}
}

func TestTiesAreBrokenAtRandom(t *testing.T) {
	snapshot, profile, from := uniform(t, 4), defaultProfile(t), decide.From{Rand: frameworktest.Rand()}
	pod, count := frameworktest.Pod(t, "new", ""), map[string]int{}
	for range 4000 {
		count[decide.Decide(snapshot, pod, profile, from).Node]++
	}
	for _, node := range snapshot.Nodes {
		if n := count[node.Name]; n < 850 || n > 1150 {
			t.Errorf("%s was chosen %d times of 4000, want about 1000", node.Name, n)
		}
	}
}

func TestExplain(t *testing.T) {
	d := decision(t, frameworktest.Snapshot(
		frameworktest.Node(t, "cordoned", `spec: {unschedulable: true}`),
		frameworktest.Node(t, "tainted", `spec: {taints: [{key: k, effect: PreferNoSchedule}]}`),
		frameworktest.Node(t, "good", ""),
	), `spec: {containers: [{name: c, resources: {requests: {cpu: 1, memory: 2Gi}}}]}`)
	want := decide.Explanation{
		Pod: "default/new", UID: "new", Node: "good", Total: 3, Looked: 3,
		Filters: []string{"NodeUnschedulable", "TaintToleration", "NodeResourcesFit"},
		Scores:  []decide.Heading{{Plugin: "TaintToleration", Weight: 3}, {Plugin: "NodeResourcesFit", Weight: 1}, {Plugin: "NodeResourcesBalancedAllocation", Weight: 1}},
		Nodes: []decide.Row{
			{Node: "good", Scores: []int64{100, 75, 75}, Total: 450},
			{Node: "tainted", Scores: []int64{0, 75, 75}, Total: 150},
			{Node: "cordoned", RejectedBy: "NodeUnschedulable", Code: "UnschedulableAndUnresolvable", Reasons: []string{"node(s) were unschedulable"}},
		},
	}
	if diff := cmp.Diff(want, d.Explain()); diff != "" {
		t.Errorf("explanation (-want +got)\n%s", diff)
	}
}

// loud gives a score that is off the scale.
type loud struct{}

func (loud) Name() string                                { return "Loud" }
func (loud) Score(*framework.Pod, *framework.Node) int64 { return 101 }

// broken cannot answer.
type broken struct{}

func (broken) Name() string { return "Broken" }

func (broken) Filter(*framework.Pod, *framework.Node) *framework.Status {
	return framework.Failed(errors.New("no idea"))
}

func TestPluginsThatMisbehave(t *testing.T) {
	for _, row := range []struct {
		profile decide.Profile
		want    string
	}{
		{decide.Profile{Scores: []decide.Weighted{{Plugin: loud{}, Weight: 1}}}, `plugin "Loud" returns an invalid score 101, it should in the range of [0, 100] after normalizing`},
		{decide.Profile{Filters: []framework.Plugin{broken{}}}, `running Filter plugin "Broken": no idea`},
		{decide.Profile{Filters: []framework.Plugin{loud{}}}, `plugin "Loud" has neither Filter nor PreFilter`},
		{decide.Profile{Scores: []decide.Weighted{{Plugin: broken{}, Weight: 1}}}, `plugin "Broken" has neither Score nor PreScore`},
	} {
		d := decide.Decide(uniform(t, 2), frameworktest.Pod(t, "new", ""), &row.profile, decide.From{Rand: frameworktest.Rand()})
		if d.Err == nil || d.Err.Error() != row.want {
			t.Errorf("got error %v, want %s", d.Err, row.want)
		}
	}
}

// A clock that is a second later each time says how often it is asked, too.
func TestADecisionSaysHowLongItTook(t *testing.T) {
	broken := defaultProfile(t)
	broken.Scores = []decide.Weighted{{Plugin: brokenScore{}, Weight: 1}}
	for _, row := range []struct {
		name    string
		nodes   int
		pod     string
		profile *decide.Profile
		want    string
	}{
		{name: "no nodes", want: "[]"},
		{name: "one node, no choice", nodes: 1, want: "[{PreFilter Success 1s} {Filter Success 1s}]"},
		{name: "a choice", nodes: 2, want: "[{PreFilter Success 1s} {Filter Success 1s} {PreScore Success 1s} {Score Success 1s}]"},
		{name: "no node fits", nodes: 2, pod: `spec: {containers: [{name: c, resources: {requests: {cpu: 999}}}]}`, want: "[{PreFilter Success 1s} {Filter Success 1s}]"},
		{name: "no node can be right", nodes: 2, want: "[{PreFilter UnschedulableAndUnresolvable 1s}]",
			pod: `spec: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchFields: [
				{key: metadata.name, operator: In, values: [a]}, {key: metadata.name, operator: In, values: [b]}]}]}}}}`},
		{name: "a plugin is broken", nodes: 2, profile: broken, want: "[{PreFilter Success 1s} {Filter Success 1s} {PreScore Success 1s} {Score Error 1s}]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var nodes []*framework.Node
			for i := range row.nodes {
				nodes = append(nodes, frameworktest.Node(t, fmt.Sprint(i), ""))
			}
			profile := row.profile
			if profile == nil {
				profile = defaultProfile(t)
			}
			now := time.Unix(0, 0)
			from := decide.From{Rand: frameworktest.Rand(), Now: func() time.Time { now = now.Add(time.Second); return now }}
			d := decide.Decide(frameworktest.Snapshot(nodes...), frameworktest.Pod(t, "new", row.pod), profile, from)
			if got := fmt.Sprint(d.Spans); got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}

// brokenScore scores more than there is.
type brokenScore struct{}

func (brokenScore) Name() string                                { return "Broken" }
func (brokenScore) Score(*framework.Pod, *framework.Node) int64 { return framework.MaxScore + 1 }
