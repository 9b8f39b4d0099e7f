// Package preempt makes room for a pod that fits nowhere, by naming pods of
// lower priority that have to go.
//
// It is a function like package decide: [Preempt] takes the snapshot and the
// decision that failed, and gives back a [Plan]. Who carries the plan out
// deletes the victims and writes the node's name into the pod's
// status.nominatedNodeName; the pod itself goes back to the queue. It is not
// bound to that node. Victims take their time to end, and until they are gone
// anything may happen; but filters count nominated pods as if they were there,
// so nobody of lower priority takes the place.
//
// On each node that is full, and not wrong for other reasons, all pods of lower
// priority are taken away in thought. If the pod would fit then, they are put
// back one by one, most important first, as long as it still fits. Who can't be
// put back is a victim. Among the nodes, the one whose victims will be missed
// least is chosen.
//
// The real one is the plugin DefaultPreemption; see preemption.go in
// k8s.io/kubernetes/pkg/scheduler/framework/preemption.
package preempt

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/decide"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
)

// Name is what a configuration calls it.
const Name = "DefaultPreemption"

// Options are what Preempt needs beside the snapshot.
type Options struct {
	// Budgets are the cluster's PodDisruptionBudgets. They are kept where
	// there is a choice, and broken where there is none.
	Budgets []*policyv1.PodDisruptionBudget

	// The search ends when it has found this many nodes, or this percentage
	// of the nodes that it could look at, whichever is more.
	MinNodes, MinPercentage int

	Rand *rand.Rand // where to begin the search
	Now  time.Time  // counts as the start of pods that have not started yet
}

// A Plan says who has to go, if there is a Node.
type Plan struct {
	Node       string           // where there will be room
	Victims    []*framework.Pod // on that node, most important first
	Violations int              // how many of them break a budget

	// Displaced are pods of lower priority that have been nominated for the
	// node: their nomination is to be taken back, so that they look elsewhere.
	// When every victim is on its way already, as theirs mostly are, none are.
	Displaced []*framework.Pod

	// Keep says that an earlier nomination of the pod stands: its victims are
	// on their way. If there is neither Node nor Keep, it is to be taken back.
	Keep bool

	// Message is for people: it belongs into the FitError of the decision.
	Message string
}

// Preempt looks for the node where the least has to be given up to make room.
// decision must have failed with a *decide.FitError.
func Preempt(snapshot *framework.Snapshot, decision *decide.Decision, options Options) Plan {
	pod, fit := decision.Pod, decision.Err.(*decide.FitError)
	if reason := ineligible(snapshot, pod, fit); reason != "" {
		return Plan{Keep: true, Message: "preemption: " + reason}
	}
	candidates, rejections := find(snapshot, decision, fit.Resolvable(snapshot), options)
	if len(candidates) == 0 {
		failed := &decide.FitError{
			Total:      len(snapshot.Nodes),
			Rejections: rejections,
			Others:     framework.RejectForGood("Preemption is not helpful for scheduling"),
		}
		return Plan{Message: "preemption: " + failed.Error()}
	}
	best := leastMissed(candidates, options.Now)
	plan := Plan{
		Node:       best.node.Name,
		Victims:    best.victims,
		Violations: best.violations,
		Message: fmt.Sprintf("preemption: found a potential placement for pod on node %v, preempting %d victims",
			best.node.Name, len(best.victims)),
	}
	if slices.ContainsFunc(best.victims, func(v *framework.Pod) bool { return !v.Terminating() }) {
		plan.Displaced = displaced(snapshot.Nominated[best.node.Name], pod)
	}
	return plan
}

// ineligible returns why the pod may not preempt others; empty if it may.
func ineligible(snapshot *framework.Snapshot, pod *framework.Pod, fit *decide.FitError) string {
	if policy := pod.Spec.PreemptionPolicy; policy != nil && *policy == corev1.PreemptNever {
		return "not eligible due to preemptionPolicy=Never."
	}
	nominated := snapshot.Node(pod.Status.NominatedNodeName)
	if nominated == nil {
		return ""
	}
	if status := fit.For(nominated.Name); status != nil && status.Code == framework.UnschedulableAndUnresolvable {
		return "" // waiting there is of no use any more
	}
	for _, other := range nominated.Pods {
		if other.Priority < pod.Priority && endedByPreemption(other) {
			return "not eligible due to a terminating pod on the nominated node."
		}
	}
	return ""
}

// endedByPreemption reports whether the pod is on its way out because some pod
// needed its place.
func endedByPreemption(pod *framework.Pod) bool {
	if !pod.Terminating() {
		return false
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.DisruptionTarget {
			return c.Status == corev1.ConditionTrue && c.Reason == corev1.PodReasonPreemptionByScheduler
		}
	}
	return false
}

func displaced(nominated []*framework.Pod, pod *framework.Pod) []*framework.Pod {
	var lower []*framework.Pod
	for _, other := range nominated {
		if other.Priority < pod.Priority {
			lower = append(lower, other)
		}
	}
	return lower
}

// find looks for nodes that could be freed until it has found enough, at least
// one of them without breaking a budget if there is any such. It returns those
// that break none first.
func find(snapshot *framework.Snapshot, decision *decide.Decision, nodes []*framework.Node, options Options) ([]candidate, []decide.Rejection) {
	if len(nodes) == 0 {
		return nil, nil
	}
	enough := min(max(len(nodes)*options.MinPercentage/100, options.MinNodes), len(nodes))
	start := options.Rand.IntN(len(nodes))
	var peaceful, violating []candidate
	var rejections []decide.Rejection
	for i := range nodes {
		node := nodes[(start+i)%len(nodes)]
		c, status := free(snapshot, decision, node, options)
		switch {
		case !status.OK():
			rejections = append(rejections, decide.Rejection{Node: node, Plugin: Name, Status: status})
			continue
		case c.violations == 0:
			peaceful = append(peaceful, c)
		default:
			violating = append(violating, c)
		}
		if len(peaceful) > 0 && len(peaceful)+len(violating) >= enough {
			break
		}
	}
	return append(peaceful, violating...), rejections
}
