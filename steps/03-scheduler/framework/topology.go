package framework

// A Topology divides the nodes of a snapshot into domains, by the value that
// they have for one label: zones, racks, single nodes. Domains have numbers from
// 0 on, so that what is counted by domain is an array and not a map of strings.
type Topology struct {
	domains []int32 // by place in Snapshot.Nodes; none where the label is missing
	count   int
}

const none = -1

// Domain returns the number of the domain that a node of the snapshot, or a
// clone of one, is in; ok is false if it is in none.
func (t *Topology) Domain(node *Node) (domain int, ok bool) { return t.At(node.place) }

// At is Domain for the node at a place in Snapshot.Nodes.
func (t *Topology) At(place int) (domain int, ok bool) {
	d := t.domains[place]
	return int(d), d != none
}

// Len returns how many domains there are.
func (t *Topology) Len() int { return t.count }

// Topology returns the division of the nodes by a label. It is made when it is
// asked for first, and stands until nodes come, go, or change their labels.
func (s *Snapshot) Topology(label string) *Topology {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.topologies[label]; t != nil {
		return t
	}
	t := &Topology{domains: make([]int32, len(s.Nodes))}
	numbers := map[string]int32{}
	for place, node := range s.Nodes {
		name, ok := node.Labels[label]
		if !ok {
			t.domains[place] = none
			continue
		}
		number, known := numbers[name]
		if !known {
			number = int32(t.count)
			numbers[name] = number
			t.count++
		}
		t.domains[place] = number
	}
	if s.topologies == nil {
		s.topologies = map[string]*Topology{}
	}
	s.topologies[label] = t
	return t
}
