package framework_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework/frameworktest"
	corev1 "k8s.io/api/core/v1"
)

func names(s *framework.Snapshot) []string {
	var all []string
	for _, node := range s.Nodes {
		all = append(all, node.Name)
	}
	return all
}

func TestNodesTakeZonesByTurns(t *testing.T) {
	in := func(name, zone string) *framework.Node {
		return frameworktest.Node(t, name, `metadata: {labels: {topology.kubernetes.io/zone: "`+zone+`"}}`)
	}
	s := frameworktest.Snapshot(in("a1", "a"), in("a2", "a"), in("a3", "a"), in("b1", "b"), in("c1", "c"), in("c2", "c"))
	if diff := cmp.Diff([]string{"a1", "b1", "c1", "a2", "c2", "a3"}, names(s)); diff != "" {
		t.Errorf("order (-want +got)\n%s", diff)
	}
	s.Update([]*framework.Node{in("a2", "b")}, "c1")
	if diff := cmp.Diff([]string{"a1", "a2", "c2", "a3", "b1"}, names(s)); diff != "" {
		t.Errorf("order after a2 has moved and c1 is gone (-want +got)\n%s", diff)
	}
	if s.Node("c1") != nil || s.Node("a2").Name != "a2" {
		t.Error("nodes are not found by their names")
	}
}

// contents is what a snapshot has counted, in a form to compare.
type contents struct {
	Populations []string
	Affine      int
	Images      map[string]int
	Zones       []string
}

func look(s *framework.Snapshot) contents {
	c := contents{Images: map[string]int{}}
	for p := range s.Populations() {
		on := map[string]int64{}
		for place, n := range p.On {
			on[s.Nodes[place].Name] = n
		}
		c.Populations = append(c.Populations, fmt.Sprint(p.Pod.Labels, on))
	}
	for range s.Affine() {
		c.Affine++
	}
	for _, image := range []string{"one", "two"} {
		c.Images[image] = s.ImageNodes(image)
	}
	zones := s.Topology(corev1.LabelTopologyZone)
	for i, a := range s.Nodes {
		for _, b := range s.Nodes[i+1:] {
			x, inX := zones.Domain(a)
			y, inY := zones.Domain(b)
			if inX && inY && x == y {
				pair := []string{a.Name, b.Name}
				slices.Sort(pair)
				c.Zones = append(c.Zones, fmt.Sprint(pair))
			}
		}
	}
	slices.Sort(c.Populations)
	slices.Sort(c.Zones)
	return c
}

// TestUpdatesCountLikeANewSnapshot makes random changes one by one, and compares
// with a snapshot that is made of the same nodes at once.
func TestUpdatesCountLikeANewSnapshot(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		s, nodes := &framework.Snapshot{}, map[string]*framework.Node{}
		for step := range 40 {
			name := fmt.Sprint("node-", random.IntN(6))
			node := nodes[name]
			switch {
			case node == nil || random.IntN(4) == 0:
				fresh := randomNode(t, random, name)
				if node != nil {
					for _, pod := range node.Pods {
						fresh.AddPod(pod)
					}
				}
				nodes[name] = fresh
				s.Update([]*framework.Node{fresh})
			case random.IntN(6) == 0:
				delete(nodes, name)
				s.Update(nil, name)
			default:
				clone := node.Clone()
				if len(clone.Pods) > 3 {
					if err := clone.RemovePod(clone.Pods[random.IntN(len(clone.Pods))]); err != nil {
						t.Fatal(err)
					}
				} else {
					clone.AddPod(randomPod(t, random, fmt.Sprint("pod-", step)))
				}
				nodes[name] = clone
				s.Update([]*framework.Node{clone})
			}
			anew := &framework.Snapshot{}
			var all []*framework.Node
			for _, node := range nodes {
				all = append(all, node.Clone())
			}
			anew.Update(all)
			if diff := cmp.Diff(look(anew), look(s)); diff != "" {
				t.Fatalf("seed %d, step %d: (-new snapshot +updated one)\n%s", seed, step, diff)
			}
		}
	}
}

func randomNode(t *testing.T, random *rand.Rand, name string) *framework.Node {
	return frameworktest.Node(t, name, fmt.Sprintf(`{metadata: {labels: {topology.kubernetes.io/zone: "%d"}}, status: {images: [{names: [%s]}]}}`,
		random.IntN(3), []string{"one", "two"}[random.IntN(2)]))
}

func randomPod(t *testing.T, random *rand.Rand, name string) *framework.Pod {
	affinity := ""
	if random.IntN(3) == 0 {
		affinity = `, spec: {affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: zone}]}}}`
	}
	return frameworktest.Pod(t, name, fmt.Sprintf(`{metadata: {labels: {app: "%d"}}%s}`, random.IntN(2), affinity))
}
