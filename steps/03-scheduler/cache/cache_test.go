package cache

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
)

func node(name string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{
		Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("8")}}}
}

// pod asks for one processor. on may be empty.
func pod(name, on string) *framework.Pod {
	p, err := framework.NewPod(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)},
		Spec: corev1.PodSpec{NodeName: on, Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}}}}}})
	if err != nil {
		panic(err)
	}
	return p
}

// used is what the cache's next snapshot says of each node, in processors.
func used(c *Cache, s *framework.Snapshot) map[string]int64 {
	c.Update(s)
	got := map[string]int64{}
	for _, n := range s.Nodes {
		got[n.Name] = n.Requested.MilliCPU / 1000
	}
	return got
}

func TestAssumptions(t *testing.T) {
	for _, c := range []struct {
		name string
		then func(*Cache)
		want map[string]int64
	}{
		{"stand", func(*Cache) {}, map[string]int64{"one": 1, "two": 0}},
		{"are confirmed", func(c *Cache) { c.SetPod(pod("a", "one")) }, map[string]int64{"one": 1, "two": 0}},
		{"are corrected", func(c *Cache) { c.SetPod(pod("a", "two")) }, map[string]int64{"one": 0, "two": 1}},
		{"are taken back", func(c *Cache) { c.Forget("a") }, map[string]int64{"one": 0, "two": 0}},
		{"that are confirmed can't be taken back", func(c *Cache) { c.SetPod(pod("a", "one")); c.Forget("a") }, map[string]int64{"one": 1, "two": 0}},
		{"end with the pod", func(c *Cache) { c.RemovePod("a") }, map[string]int64{"one": 0, "two": 0}},
		{"outlive the node", func(c *Cache) { c.RemoveNode("one"); c.SetNode(node("one")) }, map[string]int64{"one": 1, "two": 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cache, snapshot := New(), &framework.Snapshot{}
			cache.SetNode(node("one"))
			cache.SetNode(node("two"))
			if err := cache.Assume(pod("a", ""), "one"); err != nil {
				t.Fatal(err)
			}
			used(cache, snapshot)
			c.then(cache)
			if got := used(cache, snapshot); fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestAPodIsAssumedOnce(t *testing.T) {
	c := New()
	c.SetPod(pod("a", "one"))
	if err := c.Assume(pod("a", ""), "two"); err == nil {
		t.Error("a pod that has its node was given another")
	}
	if c.IsAssumed("a") {
		t.Error("what the API server has told is taken for an assumption")
	}
}

func TestAnAssumedPodKnowsItsNode(t *testing.T) {
	c, s := New(), &framework.Snapshot{}
	c.SetNode(node("one"))
	waiting := pod("a", "")
	if err := c.Assume(waiting, "one"); err != nil {
		t.Fatal(err)
	}
	c.Update(s)
	if got := s.Node("one").Pods[0].Spec.NodeName; got != "one" {
		t.Errorf("got node %q in the snapshot", got)
	}
	if waiting.Spec.NodeName != "" {
		t.Error("the pod of the queue was changed")
	}
}

func TestOnlyWhatHasChangedIsCopied(t *testing.T) {
	c, s := New(), &framework.Snapshot{}
	for _, name := range []string{"one", "two", "three"} {
		c.SetNode(node(name))
	}
	c.Update(s)
	before := slices.Clone(s.Nodes)
	if err := c.Assume(pod("a", ""), "two"); err != nil {
		t.Fatal(err)
	}
	c.Update(s)
	for i, n := range s.Nodes {
		if (n != before[i]) != (n.Name == "two") {
			t.Errorf("node %s was copied: %v", n.Name, n != before[i])
		}
	}
	if n := len(before[slices.IndexFunc(before, func(n *framework.Node) bool { return n.Name == "two" })].Pods); n != 0 {
		t.Errorf("the snapshot before has changed: %d pods", n)
	}
}

func TestPodsOfUnknownNodes(t *testing.T) {
	c, s := New(), &framework.Snapshot{}
	c.SetPod(pod("a", "later"))
	if got := used(c, s); len(got) != 0 {
		t.Errorf("got %v of a node that nobody has seen", got)
	}
	c.SetNode(node("later"))
	if got := used(c, s); got["later"] != 1 {
		t.Errorf("got %v, want the pod on its node", got)
	}
	c.RemoveNode("later")
	c.RemovePod("a")
	used(c, s)
	if len(c.nodes) != 0 {
		t.Errorf("%d nodes are kept that are gone", len(c.nodes))
	}
}

func TestNominations(t *testing.T) {
	c, s := New(), &framework.Snapshot{}
	c.SetNode(node("one"))
	c.Nominate(pod("b", ""), "one")
	c.Nominate(pod("a", ""), "one")
	names := func() (all []string) {
		c.Update(s)
		for _, p := range s.Nominated["one"] {
			all = append(all, p.Name)
		}
		return all
	}
	if got := names(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("got %v", got)
	}
	c.Nominate(pod("b", ""), "")
	if err := c.Assume(pod("a", ""), "one"); err != nil {
		t.Fatal(err)
	}
	if got := names(); len(got) != 0 {
		t.Errorf("%v are still nominated", got)
	}
}

func TestNamespaces(t *testing.T) {
	c, s := New(), &framework.Snapshot{}
	c.SetNamespace("a", labels.Set{"x": "1"})
	c.Update(s)
	kept := s.Namespaces
	c.SetNamespace("a", labels.Set{"x": "2"})
	if kept["a"]["x"] != "1" {
		t.Error("the snapshot has changed without an update")
	}
	c.Update(s)
	c.RemoveNamespace("b")
	if got := s.Namespaces["a"]["x"]; got != "2" {
		t.Errorf("got %q", got)
	}
}

// After any history the snapshot says the same as one that is made at once.
func TestASnapshotThatWasKeptUpToDate(t *testing.T) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 2))
		c, s := New(), &framework.Snapshot{}
		for range 300 {
			name, on := fmt.Sprint("p", random.IntN(20)), fmt.Sprint("n", random.IntN(5))
			switch random.IntN(7) {
			case 0:
				c.SetNode(node(on))
			case 1:
				c.RemoveNode(on)
			case 2:
				c.SetPod(pod(name, on))
			case 3:
				c.RemovePod(types.UID(name))
			case 4:
				_ = c.Assume(pod(name, ""), on) // it may have a node
			case 5:
				c.Forget(types.UID(name))
			case 6:
				c.Update(s)
			}
		}
		got := fmt.Sprint(used(c, s))
		for n := range c.nodes {
			c.changed[n] = true
		}
		if want := fmt.Sprint(used(c, &framework.Snapshot{})); got != want {
			t.Fatalf("seed %d: got %s, want %s", seed, got, want)
		}
	}
}

func TestManyGoroutines(t *testing.T) {
	c, s := New(), &framework.Snapshot{}
	c.SetNode(node("one"))
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for n := range 250 {
				p := pod(fmt.Sprint(i, "-", n), "")
				if err := c.Assume(p, "one"); err != nil {
					t.Error(err)
				}
				if n%2 == 0 {
					c.Forget(p.UID)
				} else {
					c.SetPod(pod(p.Name, "one"))
				}
			}
		})
	}
	for range 100 {
		c.Update(s)
	}
	all.Wait()
	if got := used(c, s)["one"]; got != 500 {
		t.Errorf("got %d processors, want 500", got)
	}
}

// A victim is on its way out as soon as that has been agreed to, whatever the watch, which
// comes later, has told of.
func TestVictimsAreOnTheirWay(t *testing.T) {
	gone := pod("a", "one")
	gone.DeletionTimestamp = &metav1.Time{}
	for _, tt := range []struct {
		name string
		then func(*Cache)
		want string // of all pods called a
	}{
		{"at once", func(*Cache) {}, "ending"},
		{"when the watch tells of what was before", func(c *Cache) { c.SetPod(pod("a", "one")) }, "ending"},
		{"when it tells of the end", func(c *Cache) { c.SetPod(gone) }, "ending"},
		{"and gone with it", func(c *Cache) { c.SetPod(gone); c.RemovePod("a") }, ""},
		{"or without it", func(c *Cache) { c.RemovePod("a") }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cache, snapshot := New(), &framework.Snapshot{}
			cache.SetNode(node("one"))
			cache.SetPod(pod("a", "one"))
			cache.SetPod(pod("b", "one"))
			cache.Evict("a")
			cache.Evict("unknown")
			tt.then(cache)
			got := ""
			cache.Update(snapshot)
			for _, p := range snapshot.Nodes[0].Pods {
				switch {
				case p.Name == "a" && p.Terminating():
					got += "ending"
				case p.Name == "a" || p.Terminating():
					t.Errorf("pod %s: is to end: %v", p.Name, p.Terminating())
				}
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if cache.RemovePod("a"); len(cache.evicted) != 0 {
				t.Errorf("it remembers %v", cache.evicted)
			}
		})
	}
}
