package plugins

import (
	"maps"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
)

// A tally counts pods by topology domain: by the value that nodes have for one
// label. Preemption asks about hundreds of nodes what would be if a few pods
// were gone, with a clone of the tally for each node. So clones share what was
// counted before the first of them was made, and keep just the differences.
type tally struct {
	base  map[string]int64
	delta map[string]int64 // of a clone; nil until there is a difference
	clone bool
}

func (t *tally) of(domain string) int64 { return t.base[domain] + t.delta[domain] }

func (t *tally) add(domain string, n int64) {
	switch {
	case t.clone && t.delta == nil:
		t.delta = map[string]int64{domain: n}
	case t.clone:
		t.delta[domain] += n
	case t.base == nil:
		t.base = map[string]int64{domain: n}
	default:
		t.base[domain] += n
	}
}

func (t *tally) cloned() tally {
	return tally{base: t.base, delta: maps.Clone(t.delta), clone: true}
}

// tallies has a tally for each of a few topology keys.
type tallies struct {
	keys    []string
	counts  []tally
	domains int // with a count other than 0
	cloned  bool
}

// add counts n pods on the node. A node without the label is in no domain.
func (t *tallies) add(key string, node *framework.Node, n int64) {
	domain, ok := node.Labels[key]
	if !ok {
		return
	}
	count := t.key(key)
	before := count.of(domain)
	count.add(domain, n)
	switch {
	case before == 0:
		t.domains++
	case before+n == 0:
		t.domains--
	}
}

// key returns the tally for a key, which is a new one for a new key.
func (t *tallies) key(key string) *tally {
	for i := range t.keys {
		if t.keys[i] == key {
			return &t.counts[i]
		}
	}
	t.keys, t.counts = append(t.keys, key), append(t.counts, tally{clone: t.cloned})
	return &t.counts[len(t.counts)-1]
}

// of returns the count for a domain of a key.
func (t *tallies) of(key, domain string) int64 {
	for i := range t.keys {
		if t.keys[i] == key {
			return t.counts[i].of(domain)
		}
	}
	return 0
}

// any reports whether anything was counted in any of the node's domains.
func (t *tallies) any(node *framework.Node) bool {
	if t.domains == 0 {
		return false
	}
	for i, key := range t.keys {
		if domain, ok := node.Labels[key]; ok && t.counts[i].of(domain) > 0 {
			return true
		}
	}
	return false
}

func (t *tallies) clone() tallies {
	c := tallies{keys: t.keys[:len(t.keys):len(t.keys)], counts: make([]tally, len(t.counts)), domains: t.domains, cloned: true}
	for i := range t.counts {
		c.counts[i] = t.counts[i].cloned()
	}
	return c
}
