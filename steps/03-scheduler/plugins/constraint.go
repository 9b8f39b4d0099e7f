package plugins

import (
	"maps"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
)

// A constraint is one topology spread constraint, parsed for one pod.
type constraint struct {
	key        string
	maxSkew    int64
	minDomains int
	namespace  string
	selector   labels.Selector
	self       int64 // 1 if the selector means the pod itself, else 0

	// Which nodes count: those that the pod's node affinity allows, those
	// whose taints the pod tolerates.
	honorAffinity, honorTaints bool

	// known has which classes of pods the selector means. learn adds to it;
	// count only reads it, so many may count at a time.
	known map[framework.Class]bool
}

// selects sets the selector for a constraint of the pod.
func (c *constraint) selects(selector labels.Selector, pod *framework.Pod) {
	c.selector, c.self = selector, 0
	if selector.Matches(labels.Set(pod.Labels)) {
		c.self = 1
	}
}

// includes reports whether the pods on the node are counted at all.
func (c *constraint) includes(pod *framework.Pod, node *framework.Node) bool {
	if c.honorAffinity {
		if match, _ := pod.NodeAffinity.Match(node.Node); !match {
			return false
		}
	}
	return !c.honorTaints || TaintToleration{}.Filter(pod, node) == nil
}

// counts reports whether the constraint counts the pod. One that is about to
// end does not count, nor does anything for a selector that means all pods.
func (c *constraint) counts(pod *framework.Pod) bool {
	return pod.Namespace == c.namespace && !pod.Terminating() && !c.selector.Empty() &&
		c.selector.Matches(labels.Set(pod.Labels))
}

// learn counts the node's pods, and remembers their classes.
func (c *constraint) learn(node *framework.Node) int64 {
	var n int64
	for i := range node.Groups {
		group := &node.Groups[i]
		match, known := c.known[group.Class]
		if !known {
			match = c.counts(group.Pod)
			c.known[group.Class] = match
		}
		if match {
			n += group.Count
		}
	}
	return n
}

// count counts the node's pods.
func (c *constraint) count(node *framework.Node) int64 {
	var n int64
	for i := range node.Groups {
		group := &node.Groups[i]
		match, known := c.known[group.Class]
		if !known {
			match = c.counts(group.Pod)
		}
		if match {
			n += group.Count
		}
	}
	return n
}

// constraints are those of one pod and of one kind.
type constraints []constraint

// allKeys reports whether the node has the labels of all constraints. A node
// without one of them is in no domain of any.
func (cs constraints) allKeys(node *framework.Node) bool { return cs.allIn(node.Labels) }

func (cs constraints) allIn(labels map[string]string) bool {
	for i := range cs {
		if _, ok := labels[cs[i].key]; !ok {
			return false
		}
	}
	return true
}

func (cs constraints) anySelects(pod *framework.Pod) bool {
	for i := range cs {
		if cs[i].selector.Matches(labels.Set(pod.Labels)) {
			return true
		}
	}
	return false
}

// differ reports whether a constraint means one of the pods and not the other.
func (cs constraints) differ(a, b *framework.Pod) bool {
	for i := range cs {
		if cs[i].selector.Matches(labels.Set(a.Labels)) != cs[i].selector.Matches(labels.Set(b.Labels)) {
			return true
		}
	}
	return false
}

func (cs constraints) honorTaints() bool {
	for i := range cs {
		if cs[i].honorTaints {
			return true
		}
	}
	return false
}

// nodeHelps reports whether a node in the domains has come, gone, or changed
// its domain or its taints.
func (cs constraints) nodeHelps(event framework.Event) bool {
	in := func(node *corev1.Node) bool { return node != nil && cs.allIn(node.Labels) }
	before, after := in(event.OldNode), in(event.NewNode)
	if before != after || !after {
		return before != after
	}
	for i := range cs {
		if event.OldNode.Labels[cs[i].key] != event.NewNode.Labels[cs[i].key] {
			return true
		}
	}
	return !equality.Semantic.DeepEqual(event.OldNode.Spec.Taints, event.NewNode.Spec.Taints)
}

// levels counts pods by topology domain, and knows the lowest count.
type levels struct {
	tally
	domains map[int64]int // how many domains have so many pods
	lowest  int64
}

func newLevels(counts map[string]int64) levels {
	l := levels{tally: tally{base: counts}, domains: map[int64]int{}}
	first := true
	for _, n := range counts {
		l.domains[n]++
		if first || n < l.lowest {
			l.lowest, first = n, false
		}
	}
	return l
}

// add counts one pod more or less in a domain that has been counted.
func (l *levels) add(domain string, n int64) {
	if _, counted := l.base[domain]; !counted {
		return
	}
	before := l.of(domain)
	l.tally.add(domain, n)
	l.domains[before]--
	l.domains[before+n]++
	// The domain that has moved is one step away, and no other is below the
	// place where it was.
	if before+n < l.lowest || before == l.lowest && l.domains[before] == 0 {
		l.lowest = before + n
	}
}

// least is the lowest count. As long as there are fewer domains than there
// should be, one that does not exist yet has the lowest: none.
func (l *levels) least(minDomains int) int64 {
	if len(l.base) < minDomains {
		return 0
	}
	return l.lowest
}

func (l *levels) cloned() levels {
	return levels{tally: l.tally.cloned(), domains: maps.Clone(l.domains), lowest: l.lowest}
}
