package plugins

import (
	"math"
	"slices"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
)

// PreScore sums for each topology domain what the pods in it mean to the new
// one: its own preferred terms that select them, and the terms of theirs that
// select it.
func (p *InterPodAffinity) PreScore(snapshot *framework.Snapshot, pod *framework.Pod, _ []*framework.Node) (framework.Score, *framework.Status) {
	wishes := len(pod.PreferredAffinity)+len(pod.PreferredAntiAffinity) > 0
	if !wishes && p.ignoreExisting {
		return nil, nil
	}
	others := snapshot.Affine()
	if wishes {
		others = snapshot.Populations()
	}
	var a attraction
	for other := range others {
		p.weigh(snapshot, pod, other.Pod, func(key string, weight int64) { a.add(snapshot.Topology(key), other, weight) })
	}
	if len(a) == 0 {
		return nil, nil
	}
	return a, nil
}

// weigh finds out what pods like other mean to the pod: by topology key, more
// than 0 if it is drawn to them.
func (p *InterPodAffinity) weigh(snapshot *framework.Snapshot, pod, other *framework.Pod, found func(key string, weight int64)) {
	weigh := func(terms []framework.Term, selected *framework.Pod, weight func(*framework.Term) int64) {
		for i := range terms {
			if terms[i].Selects(selected, snapshot.Namespaces[selected.Namespace]) {
				found(terms[i].TopologyKey, weight(&terms[i]))
			}
		}
	}
	to := func(t *framework.Term) int64 { return t.Weight }
	from := func(t *framework.Term) int64 { return -t.Weight }
	weigh(pod.PreferredAffinity, other, to)
	weigh(pod.PreferredAntiAffinity, other, from)
	weigh(other.PreferredAffinity, pod, to)
	weigh(other.PreferredAntiAffinity, pod, from)
	if p.hardWeight > 0 {
		weigh(other.Affinity, pod, func(*framework.Term) int64 { return p.hardWeight })
	}
}

// attraction says how much the pod is drawn to each domain of a few topologies,
// or away from it where the sum is below 0.
type attraction []tally

func (a *attraction) add(topology *framework.Topology, population *framework.Population, weight int64) {
	i := slices.IndexFunc(*a, func(t tally) bool { return t.topology == topology })
	if i < 0 {
		i = len(*a)
		*a = append(*a, newTally(topology))
	}
	for place, n := range population.On {
		if domain, ok := topology.At(place); ok {
			(*a)[i].add(domain, weight*n)
		}
	}
}

func (a attraction) Score(node *framework.Node) int64 {
	var sum int64
	for i := range a {
		if domain, ok := a[i].topology.Domain(node); ok {
			sum += a[i].of(domain)
		}
	}
	return sum
}

// Normalize makes the lowest sum 0 and the highest 100.
func (attraction) Normalize(_ []*framework.Node, scores []int64) {
	lowest, highest := int64(math.MaxInt64), int64(math.MinInt64)
	for _, score := range scores {
		lowest, highest = min(lowest, score), max(highest, score)
	}
	for i, score := range scores {
		scores[i] = 0
		if highest > lowest {
			scores[i] = int64(framework.MaxScore * (float64(score-lowest) / float64(highest-lowest)))
		}
	}
}
