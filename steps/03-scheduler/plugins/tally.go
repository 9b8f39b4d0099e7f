package plugins

import (
	"maps"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
)

// A tally counts pods by topology domain. Preemption asks about hundreds of
// nodes what would be if a few pods were gone, with a clone of the tally for
// each node. So clones share what was counted before the first of them was made,
// and keep just the differences.
type tally struct {
	topology *framework.Topology
	base     []int64 // by domain
	delta    map[int]int64
	clone    bool
}

func newTally(topology *framework.Topology) tally {
	return tally{topology: topology, base: make([]int64, topology.Len())}
}

func (t *tally) of(domain int) int64 {
	if t.delta == nil {
		return t.base[domain]
	}
	return t.base[domain] + t.delta[domain]
}

func (t *tally) add(domain int, n int64) {
	switch {
	case !t.clone:
		t.base[domain] += n
	case t.delta == nil:
		t.delta = map[int]int64{domain: n}
	default:
		t.delta[domain] += n
	}
}

func (t *tally) cloned() tally {
	return tally{topology: t.topology, base: t.base, delta: maps.Clone(t.delta), clone: true}
}

// tallies has a tally for each of a few topology keys.
type tallies struct {
	snapshot *framework.Snapshot
	keys     []string
	counts   []tally
	domains  int // with a count other than 0
}

// key returns the tally for a key, which is a new one for a new key.
func (t *tallies) key(key string) *tally {
	for i := range t.keys {
		if t.keys[i] == key {
			return &t.counts[i]
		}
	}
	t.keys, t.counts = append(t.keys, key), append(t.counts, newTally(t.snapshot.Topology(key)))
	return &t.counts[len(t.counts)-1]
}

// add counts n pods on the node, if it is in a domain of the key.
func (t *tallies) add(key string, node *framework.Node, n int64) {
	count := t.key(key)
	if domain, ok := count.topology.Domain(node); ok {
		t.change(count, domain, n)
	}
}

// addAll counts a population where it is.
func (t *tallies) addAll(key string, population *framework.Population) {
	count := t.key(key)
	for place, n := range population.On {
		if domain, ok := count.topology.At(place); ok {
			t.change(count, domain, n)
		}
	}
}

func (t *tallies) change(count *tally, domain int, n int64) {
	before := count.of(domain)
	count.add(domain, n)
	switch {
	case before == 0:
		t.domains++
	case before+n == 0:
		t.domains--
	}
}

// any reports whether anything was counted in any of the node's domains.
func (t *tallies) any(node *framework.Node) bool {
	if t.domains == 0 {
		return false
	}
	for i := range t.counts {
		if domain, ok := t.counts[i].topology.Domain(node); ok && t.counts[i].of(domain) > 0 {
			return true
		}
	}
	return false
}

// clone returns tallies that count apart. A tally for a new key that the clone
// makes is its own.
func (t *tallies) clone() tallies {
	c := *t
	c.keys, c.counts = t.keys[:len(t.keys):len(t.keys)], make([]tally, len(t.counts))
	for i := range t.counts {
		c.counts[i] = t.counts[i].cloned()
	}
	return c
}
