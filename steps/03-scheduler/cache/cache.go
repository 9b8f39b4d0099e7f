// Package cache holds the cluster as the scheduler believes it to be: what the API
// server has told, and on top of it what the scheduler itself has just decided.
//
// Between a decision and the event that shows it lie the bind, the store and a
// watch: milliseconds in which thousands of decisions would see a node that is not
// really free any more. So a pod is assumed to be on its node from the moment of the
// decision. The informer confirms that, or a failed bind takes it back. Nothing else
// does: an assumption that ended by a clock while its bind was still under way could
// give the same place away twice.
//
// A decision needs the cluster to stand still. [Cache.Update] brings a snapshot up
// to date and copies only the nodes that have changed since it was last called,
// which after one decision is one.
//
// Upstream: pkg/scheduler/backend/cache/cache.go.
package cache

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
)

// A Cache may be used by many goroutines. Make it with [New].
type Cache struct {
	mu         sync.Mutex // guards the fields below
	nodes      map[string]*framework.Node
	pods       map[types.UID]*placed
	namespaces map[string]labels.Set
	nominated  map[types.UID]nomination
	evicted    map[types.UID]bool // pods on nodes whose end we have brought about and not been told of

	// What is not in the snapshot yet: nodes by name, gone or not, and whether the
	// other two are as they were.
	changed                     map[string]bool
	newNamespaces, newNominated bool
}

// placed is a pod that is on a node, or assumed to be.
type placed struct {
	pod     *framework.Pod
	node    string
	assumed bool
}

// A nomination is a pod that waits for the victims of its preemption to leave a node.
type nomination struct {
	pod  *framework.Pod
	node string
}

// New returns a cache of a cluster without nodes.
func New() *Cache {
	return &Cache{nodes: map[string]*framework.Node{}, pods: map[types.UID]*placed{}, namespaces: map[string]labels.Set{},
		nominated: map[types.UID]nomination{}, evicted: map[types.UID]bool{}, changed: map[string]bool{}}
}

// SetNode says how a node is.
func (c *Cache) SetNode(object *corev1.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.node(object.Name).SetObject(object)
}

// RemoveNode says that a node is gone. Its pods may still be seen for a while.
func (c *Cache) RemoveNode(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.node(name).SetObject(nil)
	c.forgetEmpty(name)
}

// node returns a node to be changed. It may be one of which only pods are known.
func (c *Cache) node(name string) *framework.Node {
	c.changed[name] = true
	n := c.nodes[name]
	if n == nil {
		n = framework.NewNode(nil)
		c.nodes[name] = n
	}
	return n
}

func (c *Cache) forgetEmpty(name string) {
	if n := c.nodes[name]; n.Node == nil && len(n.Pods) == 0 {
		delete(c.nodes, name)
	}
}

// SetPod says that a pod is on the node that its spec names, which confirms an
// assumption about it, or corrects it.
func (c *Cache) SetPod(pod *framework.Pod) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(pod.UID)
	switch {
	case pod.Terminating():
		delete(c.evicted, pod.UID)
	case c.evicted[pod.UID]:
		pod = ending(pod) // it was so before
	}
	c.place(pod, pod.Spec.NodeName, false)
}

// Pod returns a pod that is on a node, or assumed to be; nil if there is none.
func (c *Cache) Pod(uid types.UID) *framework.Pod {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.pods[uid]; p != nil {
		return p.pod
	}
	return nil
}

// RemovePod says that a pod is gone, or has come to its end and uses nothing any
// more. It returns the pod as it was, nil if it was on no node.
func (c *Cache) RemovePod(uid types.UID) *framework.Pod {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.evicted, uid)
	return c.remove(uid)
}

// Evict says that the API server has agreed to end a pod, for another that needs its
// place. The pod is on its way out from now on, and not only when that is told of: who
// waits for it must not look for another victim in between.
func (c *Cache) Evict(uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pods[uid]
	if p == nil || p.pod.Terminating() {
		return
	}
	node, assumed := p.node, p.assumed
	pod := ending(c.remove(uid))
	c.evicted[uid] = true
	c.place(pod, node, assumed)
}

// ending returns the pod as it will be told of when its preemption is.
func ending(pod *framework.Pod) *framework.Pod {
	object := *pod.Pod
	object.DeletionTimestamp = new(metav1.Now())
	object.Status.Conditions = append(slices.DeleteFunc(slices.Clone(object.Status.Conditions), func(c corev1.PodCondition) bool { return c.Type == corev1.DisruptionTarget }),
		corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: corev1.PodReasonPreemptionByScheduler})
	again, err := framework.NewPod(&object)
	if err != nil {
		return pod // nobody could read it before, either
	}
	return again
}

// Assume places a pod on the node that has been decided on. An error means that it
// has one already.
func (c *Cache) Assume(pod *framework.Pod, node string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if other := c.pods[pod.UID]; other != nil {
		return fmt.Errorf("pod %s/%s is on node %s already", pod.Namespace, pod.Name, other.node)
	}
	c.place(bound(pod, node), node, true)
	return nil
}

// bound returns the pod as it will be.
func bound(pod *framework.Pod, node string) *framework.Pod {
	object := *pod.Pod
	object.Spec.NodeName = node
	assumed := *pod
	assumed.Pod = &object
	return &assumed
}

// Forget takes an assumption back, and returns the pod as it was assumed; nil if
// it is not assumed any more, as the API server has told of it in the meantime.
func (c *Cache) Forget(uid types.UID) *framework.Pod {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.pods[uid]; p == nil || !p.assumed {
		return nil
	}
	return c.remove(uid)
}

// IsAssumed says whether a pod has been given a node that the API server has not
// told of yet.
func (c *Cache) IsAssumed(uid types.UID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pods[uid]
	return p != nil && p.assumed
}

func (c *Cache) place(pod *framework.Pod, node string, assumed bool) {
	c.pods[pod.UID] = &placed{pod, node, assumed}
	c.node(node).AddPod(pod)
	c.denominate(pod.UID)
}

func (c *Cache) remove(uid types.UID) *framework.Pod {
	p := c.pods[uid]
	if p == nil {
		return nil
	}
	delete(c.pods, uid)
	if err := c.node(p.node).RemovePod(p.pod); err != nil {
		panic(err) // whoever is in pods is on a node
	}
	c.forgetEmpty(p.node)
	return p.pod
}

// A Size is how much a cache holds. The pods are on nodes; some of them are assumed to be.
type Size struct{ Nodes, Pods, Assumed int }

// Size says how much the cache holds.
func (c *Cache) Size() Size {
	c.mu.Lock()
	defer c.mu.Unlock()
	size := Size{Nodes: len(c.nodes), Pods: len(c.pods)}
	for _, p := range c.pods {
		if p.assumed {
			size.Assumed++
		}
	}
	return size
}

// Nominate says that a pod waits for its place on a node, which others of lower
// priority must not take. No node is the end of that.
func (c *Cache) Nominate(pod *framework.Pod, node string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if node == "" {
		c.denominate(pod.UID)
		return
	}
	if c.nominated[pod.UID] != (nomination{pod, node}) {
		c.nominated[pod.UID], c.newNominated = nomination{pod, node}, true
	}
}

// Denominate says that a pod is gone which may have been nominated.
func (c *Cache) Denominate(uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.denominate(uid)
}

func (c *Cache) denominate(uid types.UID) {
	if _, ok := c.nominated[uid]; ok {
		delete(c.nominated, uid)
		c.newNominated = true
	}
}

// Nomination returns the node that a pod waits for, if there is one.
func (c *Cache) Nomination(uid types.UID) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nominated[uid].node
}

// SetNamespace says which labels a namespace has.
func (c *Cache) SetNamespace(name string, set labels.Set) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.namespaces[name], c.newNamespaces = set, true
}

// RemoveNamespace says that a namespace is gone.
func (c *Cache) RemoveNamespace(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.namespaces, name)
	c.newNamespaces = true
}

// Update brings the snapshot up to date. It has to be the same one every time.
func (c *Cache) Update(s *framework.Snapshot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var nodes []*framework.Node
	var gone []string
	for name := range c.changed {
		if n := c.nodes[name]; n != nil && n.Node != nil {
			nodes = append(nodes, n.Clone())
		} else {
			gone = append(gone, name)
		}
	}
	clear(c.changed)
	if len(nodes)+len(gone) > 0 {
		s.Update(nodes, gone...)
	}
	if c.newNamespaces {
		s.Namespaces, c.newNamespaces = maps.Clone(c.namespaces), false
	}
	if c.newNominated {
		s.Nominated, c.newNominated = byNode(c.nominated), false
	}
}

// byNode puts the nominated pods in the order of their names, so that the same
// cluster is always the same snapshot.
func byNode(nominated map[types.UID]nomination) map[string][]*framework.Pod {
	nodes := map[string][]*framework.Pod{}
	for _, n := range nominated {
		nodes[n.node] = append(nodes[n.node], n.pod)
	}
	for _, pods := range nodes {
		slices.SortFunc(pods, func(a, b *framework.Pod) int {
			return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
		})
	}
	return nodes
}
