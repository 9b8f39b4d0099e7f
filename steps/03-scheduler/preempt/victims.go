package preempt

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/decide"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// A candidate is a node that would have room without the victims.
type candidate struct {
	node       *framework.Node
	victims    []*framework.Pod // most important first
	violations int
}

var (
	nobodyLower = framework.RejectForGood("No preemption victims found for incoming pod")
	noVictims   = framework.Reject("expected at least one victim pod on the node")
)

// free finds out who would have to go from the node. A status other than nil
// says why that would be of no use.
func free(snapshot *framework.Snapshot, decision *decide.Decision, node *framework.Node, options Options) (candidate, *framework.Status) {
	pod := decision.Pod
	var lower []*framework.Pod
	for _, other := range node.Pods {
		if other.Priority < pod.Priority {
			lower = append(lower, other)
		}
	}
	if len(lower) == 0 {
		return candidate{}, nobodyLower
	}
	t := trial{snapshot: snapshot, pod: pod, node: node.Clone(), filters: decision.Filters.Clone()}
	for _, other := range lower {
		t.remove(other)
	}
	if status := t.check(); !status.OK() {
		return candidate{}, status
	}
	slices.SortStableFunc(lower, func(a, b *framework.Pod) int { return importance(a, b, options.Now) })
	violating, others := split(lower, options.Budgets)
	c := candidate{node: node}
	reprieve := func(other *framework.Pod) (reprieved bool) {
		t.add(other)
		if t.check().OK() {
			return true
		}
		t.remove(other)
		c.victims = append(c.victims, other)
		return false
	}
	for _, other := range violating {
		if !reprieve(other) {
			c.violations++
		}
	}
	for _, other := range others {
		reprieve(other)
	}
	if len(c.victims) == 0 {
		return candidate{}, noVictims
	}
	slices.SortStableFunc(c.victims, func(a, b *framework.Pod) int { return importance(a, b, options.Now) })
	return c, nil
}

// A trial is a copy of a node on which pods are taken away and put back, and
// filters that are told of it.
type trial struct {
	snapshot *framework.Snapshot
	pod      *framework.Pod
	node     *framework.Node
	filters  decide.Filters
}

func (t *trial) add(other *framework.Pod) {
	t.node.AddPod(other)
	t.filters.AddPod(other, t.node)
}

// remove takes away a pod that is on the node, so there is no error.
func (t *trial) remove(other *framework.Pod) {
	_ = t.node.RemovePod(other)
	t.filters.RemovePod(other, t.node)
}

func (t *trial) check() *framework.Status {
	_, status := t.filters.Check(t.snapshot, t.pod, t.node)
	return status
}

// importance orders pods: higher priority first, then who has run longer.
func importance(a, b *framework.Pod, now time.Time) int {
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), started(a, now).Compare(started(b, now)))
}

func started(pod *framework.Pod, now time.Time) time.Time {
	if pod.Status.StartTime == nil {
		return now
	}
	return pod.Status.StartTime.Time
}

// split returns the pods whose end would break a budget, if the others in front
// of them in the list ended too, and the rest.
func split(pods []*framework.Pod, budgets []*policyv1.PodDisruptionBudget) (violating, others []*framework.Pod) {
	allowed := make([]int32, len(budgets))
	for i, budget := range budgets {
		allowed[i] = budget.Status.DisruptionsAllowed
	}
	breaks := func(pod *framework.Pod) bool {
		for i, budget := range budgets {
			if !protects(budget, pod) {
				continue
			}
			if allowed[i]--; allowed[i] < 0 {
				return true
			}
		}
		return false
	}
	for _, pod := range pods {
		if breaks(pod) {
			violating = append(violating, pod)
		} else {
			others = append(others, pod)
		}
	}
	return violating, others
}

// protects reports whether the pod's end counts against the budget. It does not
// if the pod is about to end with the budget's consent.
func protects(budget *policyv1.PodDisruptionBudget, pod *framework.Pod) bool {
	if budget.Namespace != pod.Namespace || len(pod.Labels) == 0 {
		return false
	}
	selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
	if err != nil || selector.Empty() || !selector.Matches(labels.Set(pod.Labels)) {
		return false
	}
	_, agreed := budget.Status.DisruptedPods[pod.Name]
	return !agreed
}

// leastMissed chooses the node with, in this order: the fewest broken budgets,
// the least important most important victim, the smallest sum of priorities, the
// fewest victims, the youngest among the most important victims. If all are
// equal it is the first.
func leastMissed(candidates []candidate, now time.Time) candidate {
	return slices.MinFunc(candidates, func(a, b candidate) int {
		return cmp.Or(
			cmp.Compare(a.violations, b.violations),
			cmp.Compare(a.victims[0].Priority, b.victims[0].Priority),
			cmp.Compare(a.sum(), b.sum()),
			cmp.Compare(len(a.victims), len(b.victims)),
			b.oldest(now).Compare(a.oldest(now)),
		)
	})
}

// sum adds the priorities up. They are shifted to be positive, or many victims
// of negative priority would be better than few.
func (c *candidate) sum() int64 {
	var sum int64
	for _, victim := range c.victims {
		sum += int64(victim.Priority) + math.MaxInt32 + 1
	}
	return sum
}

// oldest is when the first of the most important victims has started. They are
// in order of importance, so that is the first victim of all.
func (c *candidate) oldest(now time.Time) time.Time { return started(c.victims[0], now) }
