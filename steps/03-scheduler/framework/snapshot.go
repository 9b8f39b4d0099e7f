package framework

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// A Snapshot is the cluster at one instant, as far as scheduling goes.
//
// Only [Snapshot.Update] changes it, and only between decisions. An update for
// the one node that the last decision has filled is cheap, and never copies the
// rest: nodes in a snapshot are never changed, just replaced, and what is counted
// over all nodes is kept up to date by the difference. The zero value is a
// cluster without nodes.
type Snapshot struct {
	// Nodes takes the zones by turns: a decision that looks at the first few
	// nodes sees all zones.
	Nodes []*Node

	// Namespaces has each namespace's labels.
	Namespaces map[string]labels.Set

	// Nominated has the pods that wait for victims to leave a node, by the
	// node's name: pods of lower priority must not take the place.
	Nominated map[string][]*Pod

	index       map[string]int // name → place in Nodes
	imageNodes  map[string]int // image name → number of nodes that have it
	populations map[Class]*Population
	affine      map[Class]*Population // those of populations with inter-pod affinity

	mu         sync.Mutex           // guards topologies, which are made when asked for
	topologies map[string]*Topology // by label
}

// A Population is all pods of one class.
type Population struct {
	Pod *Pod // one of them

	// On has how many there are on which nodes, by place in Snapshot.Nodes.
	On map[int]int64
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

// Populations are all pods on all nodes, class by class.
func (s *Snapshot) Populations() iter.Seq[*Population] { return maps.Values(s.populations) }

// Affine are those Populations that have inter-pod affinity or anti-affinity.
func (s *Snapshot) Affine() iter.Seq[*Population] { return maps.Values(s.affine) }

// Update puts nodes that are new or have changed in, and takes nodes that are
// gone out. The nodes belong to the snapshot from now on.
func (s *Snapshot) Update(changed []*Node, gone ...string) {
	if s.index == nil {
		s.index, s.imageNodes = map[string]int{}, map[string]int{}
		s.populations, s.affine = map[Class]*Population{}, map[Class]*Population{}
	}
	reorder := false
	for _, node := range changed {
		i, known := s.index[node.Name]
		if !known {
			s.index[node.Name] = len(s.Nodes)
			s.Nodes = append(s.Nodes, node)
			s.countImages(node, 1)
			reorder = true
			continue
		}
		reorder = s.replace(i, node) || reorder
	}
	for _, name := range gone {
		if i, known := s.index[name]; known {
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

// replace puts the node in the place of its former self. It reports whether the
// node has moved to another zone.
func (s *Snapshot) replace(place int, node *Node) (moved bool) {
	old := s.Nodes[place]
	node.place = place
	s.Nodes[place] = node
	s.countPods(old, -1)
	s.countPods(node, 1)
	if old.Node == node.Node {
		return false
	}
	s.countImages(old, -1)
	s.countImages(node, 1)
	if !maps.Equal(old.Labels, node.Labels) {
		s.topologies = nil
	}
	return zone(old.Node) != zone(node.Node)
}

func (s *Snapshot) countPods(node *Node, sign int64) {
	for i := range node.Groups {
		group := &node.Groups[i]
		p := s.populations[group.Class]
		if p == nil {
			p = &Population{Pod: group.Pod, On: map[int]int64{}}
			s.populations[group.Class] = p
			if group.Pod.HasAffinity() {
				s.affine[group.Class] = p
			}
		}
		if n := p.On[node.place] + sign*group.Count; n != 0 {
			p.On[node.place] = n
		} else {
			delete(p.On, node.place)
		}
		if len(p.On) == 0 {
			delete(s.populations, group.Class)
			delete(s.affine, group.Class)
		}
	}
}

func (s *Snapshot) countImages(node *Node, sign int) {
	for image := range node.Images {
		if s.imageNodes[image] += sign; s.imageNodes[image] == 0 {
			delete(s.imageNodes, image)
		}
	}
}

// order sorts the nodes by zone and name, and then deals them out: the first of
// every zone, the second of every zone… Everything that goes by places is made
// anew.
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
				s.Nodes = append(s.Nodes, z[turn])
			}
		}
	}
	s.topologies = nil
	clear(s.populations)
	clear(s.affine)
	for place, node := range s.Nodes {
		node.place = place
		s.index[node.Name] = place
		s.countPods(node, 1)
	}
}

// zone names the region and zone that a node is in.
func zone(node *corev1.Node) string {
	return node.Labels[corev1.LabelTopologyRegion] + "/" + node.Labels[corev1.LabelTopologyZone]
}
