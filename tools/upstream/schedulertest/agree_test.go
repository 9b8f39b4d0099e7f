package schedulertest

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/decide"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/plugins"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/preempt"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	configv1 "k8s.io/kube-scheduler/config/v1"
	fwk "k8s.io/kube-scheduler/framework"
	upstream "k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/preemption"
)

var (
	first = flag.Uint64("first", 1, "the `number` of the first case")
	cases = flag.Uint64("cases", 2000, "how `many` cases to try")
)

// A plugin is one of the default profile, with random arguments.
type plugin struct {
	name   string
	weight int64
	args   runtime.Object // nil for a plugin that takes none
}

type profile []plugin

func (w *world) profile() profile {
	var p profile
	for _, d := range plugins.Defaults {
		if d.Name == "SchedulingGates" || d.Name == "PrioritySort" {
			continue
		}
		p = append(p, plugin{d.Name, max(d.Weight, 1), w.args(d.Name)})
	}
	return p
}

func (w *world) args(name string) runtime.Object {
	switch name {
	case "NodeAffinity":
		args := &configv1.NodeAffinityArgs{}
		if w.chance(15) {
			args.AddedAffinity = &corev1.NodeAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: pick(w, nil, &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
					MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "cores", Operator: corev1.NodeSelectorOpGt, Values: []string{"2"}}}}}}),
				PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{Weight: 7, Preference: corev1.NodeSelectorTerm{
					MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "disk", Operator: corev1.NodeSelectorOpExists}}}}},
			}
		}
		return args
	case "NodeResourcesFit":
		args := &configv1.NodeResourcesFitArgs{}
		if w.chance(15) {
			args.IgnoredResourceGroups = []string{"example.com"}
		}
		if w.chance(60) {
			args.ScoringStrategy = w.strategy()
		}
		return args
	case "NodeResourcesBalancedAllocation":
		resources := w.resources()
		for i := range resources {
			resources[i].Weight = 1 // the only one that is valid here
		}
		return &configv1.NodeResourcesBalancedAllocationArgs{Resources: pick(w, nil, resources)}
	case "InterPodAffinity":
		weight := int32(w.IntN(3))
		return &configv1.InterPodAffinityArgs{
			HardPodAffinityWeight:              pick(w, nil, &weight),
			IgnorePreferredTermsOfExistingPods: w.chance(20),
		}
	case "PodTopologySpread":
		args := &configv1.PodTopologySpreadArgs{}
		if w.chance(30) {
			args.DefaultingType = configv1.ListDefaulting
			for range 1 + w.IntN(2) {
				c := w.constraint()
				c.LabelSelector, c.MatchLabelKeys, c.MinDomains = nil, nil, nil
				if !slices.ContainsFunc(args.DefaultConstraints, func(o corev1.TopologySpreadConstraint) bool {
					return o.TopologyKey == c.TopologyKey && o.WhenUnsatisfiable == c.WhenUnsatisfiable
				}) {
					args.DefaultConstraints = append(args.DefaultConstraints, c)
				}
			}
		}
		return args
	}
	return nil
}

func (w *world) resources() []configv1.ResourceSpec {
	return []configv1.ResourceSpec{
		{Name: "cpu", Weight: int64(w.IntN(3))}, {Name: "memory", Weight: 2},
		{Name: pick(w, "example.com/gpu", "ephemeral-storage", "hugepages-2Mi"), Weight: 3},
	}
}

func (w *world) strategy() *configv1.ScoringStrategy {
	s := &configv1.ScoringStrategy{
		Type:      pick(w, configv1.LeastAllocated, configv1.MostAllocated, configv1.RequestedToCapacityRatio),
		Resources: pick(w, nil, w.resources()),
	}
	if s.Type == configv1.RequestedToCapacityRatio {
		s.RequestedToCapacityRatio = &configv1.RequestedToCapacityRatioParam{Shape: []configv1.UtilizationShapePoint{
			{Utilization: int32(w.IntN(20)), Score: int32(w.IntN(11))},
			{Utilization: int32(30 + w.IntN(20)), Score: int32(w.IntN(11))},
			{Utilization: int32(60 + w.IntN(41)), Score: int32(w.IntN(11))},
		}}
	}
	return s
}

// snapshot is the world as step 03 sees it.
func (w *world) snapshot(t *testing.T) *framework.Snapshot {
	t.Helper()
	s := &framework.Snapshot{Namespaces: map[string]labels.Set{}, Nominated: map[string][]*framework.Pod{}}
	for _, namespace := range w.namespaces {
		s.Namespaces[namespace.Name] = namespace.Labels
	}
	nodes := map[string]*framework.Node{}
	var all []*framework.Node
	for _, object := range w.nodes {
		nodes[object.Name] = framework.NewNode(object)
		all = append(all, nodes[object.Name])
	}
	for _, pod := range w.placed {
		nodes[pod.Spec.NodeName].AddPod(parsed(t, pod))
	}
	for node, pods := range w.nominated {
		for _, pod := range pods {
			s.Nominated[node] = append(s.Nominated[node], parsed(t, pod))
		}
	}
	s.Update(all)
	return s
}

func parsed(t *testing.T, object *corev1.Pod) *framework.Pod {
	t.Helper()
	pod, err := framework.NewPod(object)
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// together selects the pods of the services of a pod.
func (w *world) together(pod *corev1.Pod) labels.Selector {
	set := labels.Set{}
	for _, service := range w.services {
		if service.Namespace == pod.Namespace && labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(pod.Labels)) {
			set = labels.Merge(set, service.Spec.Selector)
		}
	}
	return labels.SelectorFromSet(set)
}

// An answer is a status in a form that both sides have.
type answer struct {
	Code    string
	Reasons []string
}

func theirs(status *fwk.Status) answer {
	if status.IsSuccess() || status.IsSkip() {
		return answer{Code: "Success"}
	}
	reasons := slices.Clone(status.Reasons())
	slices.Sort(reasons)
	return answer{status.Code().String(), reasons}
}

func ours(status *framework.Status) answer {
	if status.OK() {
		return answer{Code: "Success"}
	}
	reasons := slices.Clone(status.Reasons)
	slices.Sort(reasons)
	return answer{status.Code.String(), reasons}
}

// seen counts what has happened in the cases, so that a test can tell whether
// it has tried what it is there for.
type seen map[string]int

// each runs a test for each case. Among a thousand of them, each of the kinds
// must have been seen.
func each(t *testing.T, test func(t *testing.T, w *world, seen seen), kinds ...string) {
	seen := seen{}
	for number := *first; number < *first+*cases; number++ {
		ok := t.Run(fmt.Sprint(number), func(t *testing.T) { test(t, newWorld(number), seen) })
		if !ok {
			t.Fatalf("look at it alone with -first=%d -cases=1", number)
		}
	}
	for _, kind := range kinds {
		if seen[kind] == 0 && *cases >= 1000 {
			t.Errorf("%s: not seen in %d cases", kind, *cases)
		}
	}
	t.Log("seen:", seen)
}

// TestPluginsAgree compares each plugin's answers and normalized scores.
func TestPluginsAgree(t *testing.T) {
	var kinds []string
	for _, name := range []string{"NodeUnschedulable", "TaintToleration", "NodeAffinity", "NodePorts", "NodeResourcesFit", "PodTopologySpread", "InterPodAffinity"} {
		kinds = append(kinds, name+" rejects", name+" accepts")
	}
	for _, name := range []string{"TaintToleration", "NodeAffinity", "NodeResourcesFit", "PodTopologySpread", "InterPodAffinity", "NodeResourcesBalancedAllocation", "ImageLocality"} {
		kinds = append(kinds, name+" prefers")
	}
	each(t, func(t *testing.T, w *world, seen seen) {
		ctx := t.Context()
		profile := w.profile()
		judge, snapshot, pod := newJudge(t, ctx, w, profile), w.snapshot(t), parsed(t, w.pod)
		var feasible []*framework.Node
		for _, node := range snapshot.Nodes {
			if w.chance(70) || len(feasible) == 0 {
				feasible = append(feasible, node)
			}
		}
		for _, p := range profile {
			our, err := plugins.New(p.name, p.args, w.together)
			if err != nil {
				t.Fatal(err)
			}
			compareFilter(t, seen, judge, p.name, snapshot, pod, our)
			if p.name == "NodeResourcesFit" && w.pod.Spec.Resources != nil {
				continue // see the package comment
			}
			compareScore(t, seen, judge, p.name, snapshot, pod, feasible, our)
		}
	}, kinds...)
}

func compareFilter(t *testing.T, seen seen, judge *judge, name string, snapshot *framework.Snapshot, pod *framework.Pod, our framework.Plugin) {
	t.Helper()
	filter, ok := judge.plugins[name].(fwk.FilterPlugin)
	if !ok {
		return
	}
	ctx, state := t.Context(), upstream.NewCycleState()
	skip := false
	var theirResult *fwk.PreFilterResult
	var theirStatus *fwk.Status
	if p, ok := filter.(fwk.PreFilterPlugin); ok {
		theirResult, theirStatus = p.PreFilter(ctx, state, pod.Pod, judge.list(snapshot.Nodes))
		skip = theirStatus.IsSkip()
	}
	var result framework.PreFilterResult
	var status *framework.Status
	switch p := our.(type) {
	case framework.PreFilterPlugin:
		result, status = p.PreFilter(snapshot, pod)
	case framework.FilterPlugin:
		result.Filter = bound{p, pod}
	}
	if diff := cmp.Diff(theirs(theirStatus), ours(status)); diff != "" {
		t.Errorf("%s: PreFilter (-upstream +ours)\n%s", name, diff)
	}
	if !status.OK() {
		return
	}
	if diff := cmp.Diff(nodeNames(theirResult), result.Nodes); diff != "" {
		t.Errorf("%s: nodes that PreFilter leaves (-upstream +ours)\n%s", name, diff)
	}
	for _, node := range snapshot.Nodes {
		want, got := answer{Code: "Success"}, answer{Code: "Success"}
		if !skip {
			want = theirs(filter.Filter(ctx, state, pod.Pod, judge.nodes[node.Name]))
			seen[name+map[bool]string{true: " accepts", false: " rejects"}[want.Code == "Success"]]++
		}
		if result.Filter != nil {
			got = ours(result.Filter.Filter(node))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: Filter of %s (-upstream +ours)\n%s", name, node.Name, diff)
		}
	}
}

func nodeNames(result *fwk.PreFilterResult) []string {
	if result.AllNodes() {
		return nil
	}
	return slices.Sorted(func(yield func(string) bool) {
		for name := range result.NodeNames {
			if !yield(name) {
				return
			}
		}
	})
}

type bound struct {
	plugin framework.FilterPlugin
	pod    *framework.Pod
}

func (b bound) Filter(node *framework.Node) *framework.Status { return b.plugin.Filter(b.pod, node) }

func (j *judge) list(nodes []*framework.Node) []fwk.NodeInfo {
	var infos []fwk.NodeInfo
	for _, node := range nodes {
		infos = append(infos, j.nodes[node.Name])
	}
	return infos
}

func compareScore(t *testing.T, seen seen, judge *judge, name string, snapshot *framework.Snapshot, pod *framework.Pod, nodes []*framework.Node, our framework.Plugin) {
	t.Helper()
	scorer, ok := judge.plugins[name].(fwk.ScorePlugin)
	if !ok {
		return
	}
	want, wantErr := judge.scores(t.Context(), scorer, pod.Pod, nodes)
	profile := &decide.Profile{Filters: []framework.Plugin{}, Scores: []decide.Weighted{{Plugin: our, Weight: 1}}, Parallelism: 1}
	// A profile with this plugin alone, in which the nodes that are not asked
	// about are rejected.
	profile.Filters = append(profile.Filters, only(nodes))
	d := decide.Decide(snapshot, pod, profile, decide.From{Rand: rand.New(rand.NewPCG(1, 1))})
	if len(nodes) == 1 {
		return // nothing is scored then
	}
	if (wantErr != nil) != (d.Err != nil) {
		t.Errorf("%s: Score: error %v, upstream's %v", name, d.Err, wantErr)
	}
	if wantErr != nil || d.Err != nil {
		return
	}
	got := map[string]int64{}
	for i, node := range d.Feasible {
		got[node.Name] = d.Totals[i]
		if d.Totals[i] != d.Totals[0] {
			seen[name+" prefers"]++
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: Score (-upstream +ours)\n%s", name, diff)
	}
}

// scores asks one of upstream's plugins.
func (j *judge) scores(ctx context.Context, scorer fwk.ScorePlugin, pod *corev1.Pod, nodes []*framework.Node) (map[string]int64, error) {
	state, scores := upstream.NewCycleState(), map[string]int64{}
	for _, node := range nodes {
		scores[node.Name] = 0
	}
	if p, ok := scorer.(fwk.PreScorePlugin); ok {
		status := p.PreScore(ctx, state, pod, j.list(nodes))
		if status.IsSkip() {
			return scores, nil
		}
		if !status.IsSuccess() {
			return nil, status.AsError()
		}
	}
	var list fwk.NodeScoreList
	for _, node := range nodes {
		score, status := scorer.Score(ctx, state, pod, j.nodes[node.Name])
		if !status.IsSuccess() {
			return nil, status.AsError()
		}
		list = append(list, fwk.NodeScore{Name: node.Name, Score: score})
	}
	if n := scorer.ScoreExtensions(); n != nil {
		if status := n.NormalizeScore(ctx, state, pod, list); !status.IsSuccess() {
			return nil, status.AsError()
		}
	}
	for _, s := range list {
		scores[s.Name] = s.Score
	}
	return scores, nil
}

// only passes the nodes in the list.
type only []*framework.Node

func (only) Name() string { return "Only" }

func (o only) Filter(_ *framework.Pod, node *framework.Node) *framework.Status {
	// By name: where pods are nominated it is a copy of the node that is asked about.
	if slices.ContainsFunc(o, func(n *framework.Node) bool { return n.Name == node.Name }) {
		return nil
	}
	return framework.Reject("not asked")
}

// TestDecisionsAgree compares whole decisions: who rejects which node, with
// nominated pods counted in, the sums of the scores, the text of the error, and
// whom preemption would send away.
func TestDecisionsAgree(t *testing.T) {
	each(t, func(t *testing.T, w *world, seen seen) {
		if w.spreadsAll() {
			return
		}
		ctx := t.Context()
		settings := w.profile()
		judge, snapshot, pod := newJudge(t, ctx, w, settings), w.snapshot(t), parsed(t, w.pod)
		d := decide.Decide(snapshot, pod, settings.ours(t, w), decide.From{Start: w.IntN(5), Rand: w.Rand})

		state := upstream.NewCycleState()
		diagnosis, feasible := judge.filter(t, ctx, state, w.pod, snapshot)
		if len(feasible) == 0 {
			fit, ok := d.Err.(*decide.FitError)
			if !ok {
				t.Fatalf("got node %q and error %v, upstream's error %s", d.Node, d.Err,
					(&upstream.FitError{Pod: w.pod, NumAllNodes: len(w.nodes), Diagnosis: *diagnosis}).Error())
			}
			if !w.terminatingSpread(settings) {
				comparePreemption(t, ctx, seen, judge, state, w, snapshot, d, fit, diagnosis)
			}
			want := (&upstream.FitError{Pod: w.pod, NumAllNodes: len(w.nodes), Diagnosis: *diagnosis}).Error()
			if got := fit.Error(); got != want {
				t.Errorf("got error\n%s\nupstream's\n%s", got, want)
			}
			return
		}
		if d.Err != nil {
			// Preferred terms that cannot be parsed are an error in both.
			status := judge.RunPreScorePlugins(ctx, state, w.pod, judge.list(d.Feasible))
			if want := status.Message(); d.Err.Error() != want {
				t.Fatalf("got error %q, upstream's %q", d.Err, want)
			}
			return
		}
		var got []string
		for _, node := range d.Feasible {
			got = append(got, node.Name)
		}
		slices.Sort(got)
		if diff := cmp.Diff(feasible, got); diff != "" {
			t.Fatalf("feasible nodes (-upstream +ours)\n%s", diff)
		}
		for _, r := range d.Rejections {
			status := diagnosis.NodeToStatus.Get(r.Node.Name)
			if diff := cmp.Diff(theirs(status), ours(r.Status)); diff != "" || status.Plugin() != r.Plugin {
				t.Errorf("%s: %s rejects, upstream's %s (-upstream +ours)\n%s", r.Node.Name, r.Plugin, status.Plugin(), diff)
			}
		}
		if len(feasible) > 1 && w.pod.Spec.Resources == nil {
			compareTotals(t, ctx, judge, state, d)
			seen["choices among nodes"]++
		}
	}, "choices among nodes", "victims", "broken budgets", "displaced", "no room to be made")
}

// ours makes the profile of step 03.
func (p profile) ours(t *testing.T, w *world) *decide.Profile {
	t.Helper()
	profile := &decide.Profile{PercentageOfNodesToScore: 100, Parallelism: 1}
	for _, settings := range p {
		plugin, err := plugins.New(settings.name, settings.args, w.together)
		if err != nil {
			t.Fatal(err)
		}
		_, pre := plugin.(framework.PreFilterPlugin)
		_, plain := plugin.(framework.FilterPlugin)
		if pre || plain {
			profile.Filters = append(profile.Filters, plugin)
		}
		_, pre = plugin.(framework.PreScorePlugin)
		_, plain = plugin.(framework.ScorePlugin)
		if pre || plain {
			profile.Scores = append(profile.Scores, decide.Weighted{Plugin: plugin, Weight: settings.weight})
		}
	}
	return profile
}

// filter does what upstream's findNodesThatFitPod does.
func (j *judge) filter(t *testing.T, ctx context.Context, state fwk.CycleState, pod *corev1.Pod, snapshot *framework.Snapshot) (*upstream.Diagnosis, []string) {
	t.Helper()
	diagnosis := &upstream.Diagnosis{NodeToStatus: upstream.NewDefaultNodeToStatus()}
	result, status, narrowed := j.RunPreFilterPlugins(ctx, state, pod)
	if !status.IsSuccess() {
		if !status.IsRejected() {
			t.Fatal(status.AsError())
		}
		diagnosis.NodeToStatus.SetAbsentNodesStatus(status)
		diagnosis.PreFilterMsg = status.Message()
		return diagnosis, nil
	}
	if !result.AllNodes() {
		diagnosis.NodeToStatus.SetAbsentNodesStatus(fwk.NewStatus(fwk.UnschedulableAndUnresolvable,
			fmt.Sprintf("node(s) didn't satisfy plugin(s) %v", slices.Sorted(func(yield func(string) bool) {
				for name := range narrowed {
					if !yield(name) {
						return
					}
				}
			}))))
	}
	var feasible []string
	for _, node := range snapshot.Nodes {
		if !result.AllNodes() && !result.NodeNames.Has(node.Name) {
			continue
		}
		status := j.RunFilterPluginsWithNominatedPods(ctx, state, pod, j.nodes[node.Name])
		if status.IsSuccess() {
			feasible = append(feasible, node.Name)
		} else {
			diagnosis.NodeToStatus.Set(node.Name, status)
		}
	}
	slices.Sort(feasible)
	return diagnosis, feasible
}

func compareTotals(t *testing.T, ctx context.Context, judge *judge, state fwk.CycleState, d *decide.Decision) {
	t.Helper()
	nodes := judge.list(d.Feasible)
	if status := judge.RunPreScorePlugins(ctx, state, d.Pod.Pod, nodes); !status.IsSuccess() {
		t.Fatal(status.AsError())
	}
	scores, status := judge.RunScorePlugins(ctx, state, d.Pod.Pod, nodes)
	if !status.IsSuccess() {
		t.Fatal(status.AsError())
	}
	var highest int64
	for i, score := range scores {
		highest = max(highest, score.TotalScore)
		if got := d.Totals[i]; got != score.TotalScore {
			t.Errorf("%s: got a total of %d, upstream's %d", score.Name, got, score.TotalScore)
		}
	}
	for _, score := range scores {
		if score.Name == d.Node && score.TotalScore != highest {
			t.Errorf("got node %s with a total of %d, there is one with %d", d.Node, score.TotalScore, highest)
		}
	}
}

// spreadsAll reports whether the case is one of those that the package comment
// leaves out.
func (w *world) spreadsAll() bool {
	return slices.ContainsFunc(w.pod.Spec.TopologySpreadConstraints, func(c corev1.TopologySpreadConstraint) bool {
		return c.LabelSelector != nil && len(c.LabelSelector.MatchLabels)+len(c.LabelSelector.MatchExpressions) == 0
	})
}

// terminatingSpread reports whether the case is one of those that the package
// comment leaves out.
func (w *world) terminatingSpread(settings profile) bool {
	spreads := slices.ContainsFunc(settings, func(p plugin) bool {
		args, ok := p.args.(*configv1.PodTopologySpreadArgs)
		return ok && len(args.DefaultConstraints) > 0
	})
	return (spreads || len(w.pod.Spec.TopologySpreadConstraints) > 0) &&
		slices.ContainsFunc(w.placed, func(p *corev1.Pod) bool { return p.DeletionTimestamp != nil })
}

func comparePreemption(t *testing.T, ctx context.Context, seen seen, judge *judge, state fwk.CycleState, w *world, snapshot *framework.Snapshot, d *decide.Decision, fit *decide.FitError, diagnosis *upstream.Diagnosis) {
	t.Helper()
	plan := preempt.Preempt(snapshot, d, preempt.Options{Budgets: w.budgets, MinNodes: 100, MinPercentage: 100, Rand: w.Rand, Now: epoch})
	fit.Preemption = plan.Message

	var want []string
	judge.preemption.Executor.PreemptPod = func(_ context.Context, _ preemption.Candidate, _ preemption.ExecutorPreemptor, victim *corev1.Pod, _ string) (bool, error) {
		want = append(want, victim.Name)
		return false, nil
	}
	result, status := judge.preemption.PostFilter(ctx, state, w.pod, diagnosis.NodeToStatus)
	diagnosis.PostFilterMsg = status.Message()
	node := ""
	if result != nil && result.NominatingInfo != nil {
		node = result.NominatedNodeName
	}
	seen["victims"] += len(plan.Victims)
	seen["broken budgets"] += plan.Violations
	seen["displaced"] += len(plan.Displaced)
	if plan.Node == "" {
		seen["no room to be made"]++
	}
	if plan.Node != node {
		t.Errorf("preemption: got node %q, upstream's %q (%s)", plan.Node, node, status.Message())
	}
	if keep := result == nil; keep != plan.Keep {
		t.Errorf("preemption: got keep %v, upstream's %v", plan.Keep, keep)
	}
	var got []string
	for _, victim := range plan.Victims {
		if !victim.Terminating() { // upstream does not delete it once more
			got = append(got, victim.Name)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("preemption on %s: victims (-upstream +ours)\n%s", plan.Node, diff)
	}
}
