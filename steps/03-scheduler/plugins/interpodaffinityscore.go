package plugins

import (
	"math"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
)

// PreScore sums for each topology domain what the pods in it mean to the new
// one: its own preferred terms that select them, and the terms of theirs that
// select it.
func (p *InterPodAffinity) PreScore(snapshot *framework.Snapshot, pod *framework.Pod, _ []*framework.Node) (framework.Score, *framework.Status) {
	wishes := len(pod.PreferredAffinity)+len(pod.PreferredAntiAffinity) > 0
	if !wishes && (p.ignoreExisting || !snapshot.AnyAffinity()) {
		return nil, nil
	}
	a := &attraction{plugin: p, pod: pod, snapshot: snapshot, weights: map[framework.Class][]weight{}}
	for _, node := range snapshot.Nodes {
		if wishes || node.AnyAffinity() {
			a.countAll(node)
		}
	}
	if len(a.sums.keys) == 0 {
		return nil, nil
	}
	return a, nil
}

// attraction says how much the pod is drawn to each topology domain, or away
// from it where the sum is below 0.
type attraction struct {
	plugin   *InterPodAffinity
	pod      *framework.Pod
	snapshot *framework.Snapshot
	weights  map[framework.Class][]weight
	sums     tallies
}

// A weight is what one pod means to its domain of the topology key.
type weight struct {
	key    string
	weight int64
}

func (a *attraction) countAll(node *framework.Node) {
	for i := range node.Groups {
		group := &node.Groups[i]
		weights, known := a.weights[group.Class]
		if !known {
			weights = a.weigh(group.Pod)
			a.weights[group.Class] = weights
		}
		for _, w := range weights {
			a.sums.add(w.key, node, w.weight*group.Count)
		}
	}
}

func (a *attraction) weigh(other *framework.Pod) []weight {
	var weights []weight
	add := func(terms []framework.Term, selected *framework.Pod, times, fixed int64) {
		for i := range terms {
			if terms[i].Selects(selected, a.snapshot.Namespaces[selected.Namespace]) {
				weights = append(weights, weight{terms[i].TopologyKey, times*terms[i].Weight + fixed})
			}
		}
	}
	add(a.pod.PreferredAffinity, other, 1, 0)
	add(a.pod.PreferredAntiAffinity, other, -1, 0)
	if a.plugin.hardWeight > 0 {
		add(other.Affinity, a.pod, 0, a.plugin.hardWeight)
	}
	add(other.PreferredAffinity, a.pod, 1, 0)
	add(other.PreferredAntiAffinity, a.pod, -1, 0)
	return weights
}

func (a *attraction) Score(node *framework.Node) int64 {
	var sum int64
	for i, key := range a.sums.keys {
		if domain, ok := node.Labels[key]; ok {
			sum += a.sums.counts[i].of(domain)
		}
	}
	return sum
}

// Normalize makes the lowest sum 0 and the highest 100.
func (a *attraction) Normalize(_ []*framework.Node, scores []int64) {
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
