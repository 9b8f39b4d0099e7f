// Package framework holds what a scheduling decision is made of: a pod, the
// nodes, and the questions that plugins ask about the two.
//
// To schedule is to choose a node for a pod, and then to write one field. The
// choice has two rounds. Filters say on which nodes the pod could run at all;
// scores say which of those is best. Both see a [Snapshot], the cluster as it
// was at one instant, and neither may change it: the same snapshot and the same
// pod give the same answer, on a laptop, in a test, or a year later.
//
// Some questions need a look at the whole cluster first, "how many such pods
// has each zone?". A plugin that asks one implements [PreFilterPlugin] or
// [PreScorePlugin]: it looks once, and gives back something small that answers
// for each node. Anything else is a [FilterPlugin] or a [ScorePlugin], and
// writing one takes ten lines; see the example of package plugins.
//
// The extension points have the names of the real scheduling framework
// (k8s.io/kube-scheduler/framework). What is different: a plugin's state is a
// value that its method returned, not an entry in a map for the cycle.
package framework

import "time"

// The scale of a score after normalization.
const (
	MinScore = 0
	MaxScore = 100
)

// A Plugin has a name, by which a configuration turns it on and off and by
// which a decision says who decided: "NodeResourcesFit".
type Plugin interface {
	Name() string
}

// A PreEnqueuePlugin keeps pods out of the queue until something is done about
// them. nil lets the pod in.
type PreEnqueuePlugin interface {
	Plugin
	PreEnqueue(pod *Pod) *Status
}

// A QueueSortPlugin puts waiting pods in order. There is just one in a
// scheduler.
type QueueSortPlugin interface {
	Plugin
	Less(a, b Queued) bool
}

// Queued is a pod in the queue, and since when it waits there.
type Queued struct {
	Pod   *Pod
	Since time.Time
}

// A Filter says whether the pod that it was made for could run on node: nil
// means yes. It is called from several goroutines, and must neither change what
// it sees nor, in the usual case, allocate: there are thousands of nodes.
type Filter interface {
	Filter(node *Node) *Status
}

// A FilterPlugin looks at one node at a time and needs to know nothing else.
type FilterPlugin interface {
	Plugin
	Filter(pod *Pod, node *Node) *Status
}

// A PreFilterPlugin looks at the whole cluster, once for each pod, before it
// looks at single nodes. A status other than nil ends the decision: no node
// can be right.
type PreFilterPlugin interface {
	Plugin
	PreFilter(snapshot *Snapshot, pod *Pod) (PreFilterResult, *Status)
}

// A PreFilterResult is what a plugin has to say once it has seen the cluster.
type PreFilterResult struct {
	// Filter looks at single nodes; nil when the plugin has nothing against
	// any node (upstream: the status Skip).
	Filter Filter

	// Nodes, unless nil, are the names of the only nodes worth a look.
	Nodes []string
}

// A TrackingFilter keeps count of pods beyond the node in question. Preemption
// asks "and if these pods were gone?", so it must hear of pods that are taken
// away and put back. (Upstream: PreFilterExtensions.)
type TrackingFilter interface {
	Filter

	// AddPod and RemovePod say that added or removed is, or is no more, on node.
	// The node has been changed already.
	AddPod(added *Pod, node *Node)
	RemovePod(removed *Pod, node *Node)

	// Clone returns a filter that answers the same and counts apart.
	Clone() TrackingFilter
}

// A Score says how good a node is for the pod that it was made for: from
// MinScore to MaxScore, unless it is a [Normalizer] too.
type Score interface {
	Score(node *Node) int64
}

// A ScorePlugin looks at one node at a time.
type ScorePlugin interface {
	Plugin
	Score(pod *Pod, node *Node) int64
}

// A PreScorePlugin looks at the whole cluster and at the nodes that passed the
// filters before it scores them. A nil Score without a status means that the
// plugin has nothing to say about this pod; all nodes have the score 0 then.
type PreScorePlugin interface {
	Plugin
	PreScore(snapshot *Snapshot, pod *Pod, nodes []*Node) (Score, *Status)
}

// A Normalizer brings its scores to the scale from MinScore to MaxScore once
// all are known. scores[i] belongs to nodes[i], and is changed in place. A
// Score that a PreScorePlugin gave back or a ScorePlugin may be one.
type Normalizer interface {
	Normalize(nodes []*Node, scores []int64)
}

// A Local plugin filters or scores, and what it says about a node depends on the pod
// and on that node alone, not on the rest of the cluster. So it need not be asked
// about the same node again for the same kind of pod.
type Local interface {
	Plugin

	// Alike reports whether the plugin says the same about both pods, of every
	// node, before scores are normalized. It is quick; in doubt it says no.
	Alike(a, b *Pod) bool
}

// A QueueingHint says whether an event could make a pod schedulable that this
// plugin had rejected. It is asked for each waiting pod and each event, so it
// is quick; in doubt it says yes. A plugin without hints is helped by every
// event.
type QueueingHint interface {
	Plugin
	Helps(pod *Pod, event Event) bool
}
