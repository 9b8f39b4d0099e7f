package plugins

import (
	"math"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	corev1 "k8s.io/api/core/v1"
)

// PreScore counts the pods of the domains that the feasible nodes are in.
func (p *PodTopologySpread) PreScore(snapshot *framework.Snapshot, pod *framework.Pod, nodes []*framework.Node) (framework.Score, *framework.Status) {
	constraints, err := p.constraints(pod, corev1.ScheduleAnyway)
	if err != nil {
		return nil, framework.Failed(err)
	}
	if len(constraints) == 0 {
		return nil, nil
	}
	s := &crowds{
		constraints: constraints,
		strict:      len(pod.Spec.TopologySpreadConstraints) > 0 || !p.system,
		counts:      make([]map[string]int64, len(constraints)),
		weights:     make([]float64, len(constraints)),
	}
	s.enumerate(nodes)
	for _, node := range snapshot.Nodes {
		if s.ignores(node) {
			continue
		}
		for i := range constraints {
			c := &constraints[i]
			domain := node.Labels[c.key]
			if _, candidate := s.counts[i][domain]; candidate && c.includes(pod, node) {
				s.counts[i][domain] += c.learn(node)
			}
		}
	}
	return s, nil
}

// crowds knows how many pods are in each domain already.
type crowds struct {
	constraints constraints
	strict      bool
	counts      []map[string]int64 // by constraint, by domain; nil for hosts
	weights     []float64          // by constraint
}

// enumerate finds the domains that the nodes are in, and the weight of each
// constraint: the more domains, the fewer pods in each, and the more one counts.
// A node is a domain of its own, and is counted when it is scored.
func (s *crowds) enumerate(nodes []*framework.Node) {
	scored := 0
	for i := range s.counts {
		if s.constraints[i].key != corev1.LabelHostname {
			s.counts[i] = map[string]int64{}
		}
	}
	for _, node := range nodes {
		if s.ignores(node) {
			continue
		}
		scored++
		for i := range s.constraints {
			if c := &s.constraints[i]; c.key == corev1.LabelHostname {
				c.learn(node)
			} else {
				s.counts[i][node.Labels[c.key]] = 0
			}
		}
	}
	for i := range s.constraints {
		size := len(s.counts[i])
		if s.constraints[i].key == corev1.LabelHostname {
			size = scored
		}
		s.weights[i] = math.Log(float64(size + 2))
	}
}

// ignores reports whether the node is left out, for lack of a label.
func (s *crowds) ignores(node *framework.Node) bool { return s.strict && !s.constraints.allKeys(node) }

// Score is how crowded the node's domains are: lower is better.
func (s *crowds) Score(node *framework.Node) int64 {
	if s.ignores(node) {
		return 0
	}
	sum := 0.0
	for i := range s.constraints {
		c := &s.constraints[i]
		domain, ok := node.Labels[c.key]
		if !ok {
			continue
		}
		n := s.counts[i][domain]
		if c.key == corev1.LabelHostname {
			n = c.count(node)
		}
		sum += float64(n)*s.weights[i] + float64(c.maxSkew-1)
	}
	return int64(math.Round(sum))
}

// Normalize turns the scores round: the least crowded node has 100, and a node
// without the labels 0.
func (s *crowds) Normalize(nodes []*framework.Node, scores []int64) {
	lowest, highest := int64(math.MaxInt64), int64(0)
	for i, node := range nodes {
		if !s.ignores(node) {
			lowest, highest = min(lowest, scores[i]), max(highest, scores[i])
		}
	}
	for i, node := range nodes {
		switch {
		case s.ignores(node):
			scores[i] = 0
		case highest == 0:
			scores[i] = framework.MaxScore
		default:
			scores[i] = framework.MaxScore * (highest + lowest - scores[i]) / highest
		}
	}
}
