package framework

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// A Snapshot is the cluster at one instant, as far as scheduling goes.
//
// Only [Snapshot.Update] changes it, and only between decisions: it is cheap for
// the one node that the last decision has filled, and never copies the rest.
// Nodes in it are never changed, just replaced. The zero value is a cluster
// without nodes.
type Snapshot struct {
	// Nodes takes the zones by turns: a decision that looks at the first few
	// nodes sees all zones.
	Nodes []*Node

	// Namespaces has each namespace's labels.
	Namespaces map[string]labels.Set

	// Nominated has the pods that wait for victims to leave a node, by the
	// node's name: pods of lower priority must not take the place.
	Nominated map[string][]*Pod

	index      map[string]int // name → place in Nodes
	imageNodes map[string]int // image name → number of nodes that have it

	withAffinity, withAntiAffinity int // nodes that have such pods
}

// Node returns a node by its name, nil if there is none.
func (s *Snapshot) Node(name string) *Node {
	if i, ok := s.index[name]; ok {
		return s.Nodes[i]
	}
	return nil
}

// ImageNodes returns how many nodes have an image, by one of its names.
func (s *Snapshot) ImageNodes(name string) int { return s.imageNodes[name] }

// AnyAffinity reports whether any pod on any node has inter-pod affinity or
// anti-affinity, required or preferred.
func (s *Snapshot) AnyAffinity() bool { return s.withAffinity > 0 }

// AnyAntiAffinity reports whether any pod on any node has required
// anti-affinity.
func (s *Snapshot) AnyAntiAffinity() bool { return s.withAntiAffinity > 0 }

// Update puts nodes that are new or have changed in, and takes nodes that are
// gone out. The nodes belong to the snapshot from now on.
func (s *Snapshot) Update(changed []*Node, gone ...string) {
	if s.index == nil {
		s.index, s.imageNodes = map[string]int{}, map[string]int{}
	}
	reorder := false
	for _, node := range changed {
		i, known := s.index[node.Name]
		if !known {
			s.index[node.Name] = len(s.Nodes)
			s.Nodes = append(s.Nodes, node)
			s.count(node, 1)
			s.countImages(node, 1)
			reorder = true
			continue
		}
		old := s.Nodes[i]
		reorder = reorder || zone(old.Node) != zone(node.Node)
		s.count(old, -1)
		s.count(node, 1)
		if old.Node != node.Node {
			s.countImages(old, -1)
			s.countImages(node, 1)
		}
		s.Nodes[i] = node
	}
	for _, name := range gone {
		if i, known := s.index[name]; known {
			s.count(s.Nodes[i], -1)
			s.countImages(s.Nodes[i], -1)
			s.Nodes[i] = nil
			delete(s.index, name)
			reorder = true
		}
	}
	if reorder {
		s.order()
	}
}

func (s *Snapshot) count(node *Node, sign int) {
	if node.withAffinity > 0 {
		s.withAffinity += sign
	}
	if node.withAntiAffinity > 0 {
		s.withAntiAffinity += sign
	}
}

func (s *Snapshot) countImages(node *Node, sign int) {
	for image := range node.Images {
		s.imageNodes[image] += sign
	}
}

// order sorts the nodes by zone and name, and then deals them out: the first of
// every zone, the second of every zone…
func (s *Snapshot) order() {
	nodes := slices.DeleteFunc(s.Nodes, func(n *Node) bool { return n == nil })
	slices.SortFunc(nodes, func(a, b *Node) int {
		return cmp.Or(cmp.Compare(zone(a.Node), zone(b.Node)), cmp.Compare(a.Name, b.Name))
	})
	var zones [][]*Node
	for i, node := range nodes {
		if i == 0 || zone(node.Node) != zone(nodes[i-1].Node) {
			zones = append(zones, nil)
		}
		zones[len(zones)-1] = append(zones[len(zones)-1], node)
	}
	s.Nodes = make([]*Node, 0, len(nodes))
	for turn := 0; len(s.Nodes) < len(nodes); turn++ {
		for _, z := range zones {
			if turn < len(z) {
				s.index[z[turn].Name] = len(s.Nodes)
				s.Nodes = append(s.Nodes, z[turn])
			}
		}
	}
}

// zone names the region and zone that a node is in.
func zone(node *corev1.Node) string {
	return node.Labels[corev1.LabelTopologyRegion] + "/" + node.Labels[corev1.LabelTopologyZone]
}
