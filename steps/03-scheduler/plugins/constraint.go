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
	topology   *framework.Topology

	// Which nodes count: those that the pod's node affinity allows, if it has
	// any, and those whose taints the pod tolerates.
	honorAffinity, honorTaints bool
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

// constraints are those of one pod and of one kind.
type constraints []constraint

// allAt reports whether the node at a place is in a domain of every constraint.
// One that lacks the label of one constraint counts for none.
func (cs constraints) allAt(place int) bool {
	for i := range cs {
		if _, ok := cs[i].topology.At(place); !ok {
			return false
		}
	}
	return true
}

// count counts the pods that one of the constraints selects, by its domains.
func (cs constraints) count(snapshot *framework.Snapshot, pod *framework.Pod, which int) levels {
	c := &cs[which]
	counted := make([]bool, len(snapshot.Nodes)) // whether the node is
	l := levels{tally: newTally(c.topology), exists: make([]bool, c.topology.Len())}
	for place, node := range snapshot.Nodes {
		if cs.allAt(place) && c.includes(pod, node) {
			domain, _ := c.topology.At(place)
			counted[place], l.exists[domain] = true, true
		}
	}
	for population := range snapshot.Populations() {
		if !c.counts(population.Pod) {
			continue
		}
		for place, n := range population.On {
			if counted[place] {
				domain, _ := c.topology.At(place)
				l.tally.add(domain, n)
			}
		}
	}
	l.rank()
	return l
}

// allIn is allAt for any labels.
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
	exists  []bool        // by domain: whether it has a node that counts
	domains int           // how many do
	having  map[int64]int // how many domains have so many pods
	lowest  int64
}

// rank finds the lowest count once everything has been counted.
func (l *levels) rank() {
	l.having = map[int64]int{}
	for domain, exists := range l.exists {
		if !exists {
			continue
		}
		n := l.of(domain)
		if l.having[n]++; l.domains == 0 || n < l.lowest {
			l.lowest = n
		}
		l.domains++
	}
}

// add counts one pod more or less.
func (l *levels) add(domain int, n int64) {
	before := l.of(domain)
	l.tally.add(domain, n)
	l.having[before]--
	l.having[before+n]++
	// The domain that has moved is one step away, and no other is below the
	// place where it was.
	if before+n < l.lowest || before == l.lowest && l.having[before] == 0 {
		l.lowest = before + n
	}
}

// least is the lowest count. As long as there are fewer domains than there
// should be, one that does not exist yet has the lowest: none.
func (l *levels) least(minDomains int) int64 {
	if l.domains < minDomains {
		return 0
	}
	return l.lowest
}

func (l *levels) cloned() levels {
	c := *l
	c.tally, c.having = l.tally.cloned(), maps.Clone(l.having)
	return c
}
