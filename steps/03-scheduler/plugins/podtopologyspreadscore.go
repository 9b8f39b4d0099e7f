package plugins

import (
	"math"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	corev1 "k8s.io/api/core/v1"
)

// PreScore counts the pods of the domains that the feasible nodes are in.
func (p *PodTopologySpread) PreScore(snapshot *framework.Snapshot, pod *framework.Pod, nodes []*framework.Node) (framework.Score, *framework.Status) {
	constraints, err := p.constraints(snapshot, pod, corev1.ScheduleAnyway)
	if err != nil {
		return nil, framework.Failed(err)
	}
	if len(constraints) == 0 {
		return nil, nil
	}
	s := &crowds{
		constraints: constraints,
		strict:      len(pod.Spec.TopologySpreadConstraints) > 0 || !p.system,
		counts:      make([][]int64, len(constraints)),
		weights:     make([]float64, len(constraints)),
	}
	for i := range constraints {
		s.weigh(i, nodes)
		s.count(i, snapshot, pod)
	}
	return s, nil
}

// crowds knows how many pods there are already, in each domain of a constraint.
// A single node is a domain of its own, by its place, whatever its labels say.
type crowds struct {
	constraints constraints
	strict      bool      // leave out nodes that lack a label
	counts      [][]int64 // by constraint, by domain or by place
	weights     []float64 // by constraint
}

// single reports whether the constraint's domains are single nodes.
func (c *constraint) single() bool { return c.key == corev1.LabelHostname }

// weigh gives a constraint its weight: the more domains the nodes are in, the
// fewer pods are in each, and the more one of them counts.
func (s *crowds) weigh(which int, nodes []*framework.Node) {
	c, size := &s.constraints[which], 0
	seen := make([]bool, c.topology.Len()+1) // the last is for nodes without the label
	for _, node := range nodes {
		if s.ignores(node.Place()) {
			continue
		}
		domain, ok := c.topology.Domain(node)
		if !ok {
			domain = c.topology.Len()
		}
		if c.single() || !seen[domain] {
			seen[domain] = true
			size++
		}
	}
	s.weights[which] = math.Log(float64(size + 2))
}

// count counts the pods that a constraint selects.
func (s *crowds) count(which int, snapshot *framework.Snapshot, pod *framework.Pod) {
	c := &s.constraints[which]
	size := c.topology.Len()
	if c.single() {
		size = len(snapshot.Nodes)
	}
	counts := make([]int64, size)
	for population := range snapshot.Populations() {
		if !c.counts(population.Pod) {
			continue
		}
		for place, n := range population.On {
			if c.single() {
				counts[place] += n
			} else if domain, ok := c.topology.At(place); ok && !s.ignores(place) && c.includes(pod, snapshot.Nodes[place]) {
				counts[domain] += n
			}
		}
	}
	s.counts[which] = counts
}

// ignores reports whether the node at a place is left out, for lack of a label.
func (s *crowds) ignores(place int) bool { return s.strict && !s.constraints.allAt(place) }

// Score is how crowded the node's domains are: lower is better.
func (s *crowds) Score(node *framework.Node) int64 {
	if s.ignores(node.Place()) {
		return 0
	}
	sum := 0.0
	for i := range s.constraints {
		c := &s.constraints[i]
		domain, ok := c.topology.Domain(node)
		if !ok {
			continue
		}
		if c.single() {
			domain = node.Place()
		}
		sum += float64(s.counts[i][domain])*s.weights[i] + float64(c.maxSkew-1)
	}
	return int64(math.Round(sum))
}

// Normalize turns the scores round: the least crowded node has 100, and a node
// without the labels 0.
func (s *crowds) Normalize(nodes []*framework.Node, scores []int64) {
	lowest, highest := int64(math.MaxInt64), int64(0)
	for i, node := range nodes {
		if !s.ignores(node.Place()) {
			lowest, highest = min(lowest, scores[i]), max(highest, scores[i])
		}
	}
	for i, node := range nodes {
		switch {
		case s.ignores(node.Place()):
			scores[i] = 0
		case highest == 0:
			scores[i] = framework.MaxScore
		default:
			scores[i] = framework.MaxScore * (highest + lowest - scores[i]) / highest
		}
	}
}
