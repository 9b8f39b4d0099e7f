package plugins

import (
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	"k8s.io/apimachinery/pkg/labels"
	configv1 "k8s.io/kube-scheduler/config/v1"
)

// InterPodAffinity puts pods near other pods, or far from them. Near means: in
// the same topology domain, which is a node, a rack or a zone, whatever nodes
// have a label for. What the new pod wants counts, and also what the pods that
// are there already want, since anti-affinity holds in both directions.
//
// Pods are looked at by [framework.Class]: whether a term selects a pod is asked
// once for all pods that are alike.
type InterPodAffinity struct {
	hardWeight     int64 // what a required term of a pod on a node counts in scores
	ignoreExisting bool
}

var (
	noAffinity       = framework.RejectForGood("node(s) didn't match pod affinity rules")
	antiAffinity     = framework.Reject("node(s) didn't match pod anti-affinity rules")
	existingAffinity = framework.Reject("node(s) didn't satisfy existing pods anti-affinity rules")
)

// NewInterPodAffinity takes nil for the defaults.
func NewInterPodAffinity(args *configv1.InterPodAffinityArgs) *InterPodAffinity {
	p := &InterPodAffinity{hardWeight: 1}
	if args != nil {
		p.ignoreExisting = args.IgnorePreferredTermsOfExistingPods
		if args.HardPodAffinityWeight != nil {
			p.hardWeight = int64(*args.HardPodAffinityWeight)
		}
	}
	return p
}

func (*InterPodAffinity) Name() string { return "InterPodAffinity" }

// PreFilter counts the pods that matter to this one, by topology domain.
func (p *InterPodAffinity) PreFilter(snapshot *framework.Snapshot, pod *framework.Pod) (framework.PreFilterResult, *framework.Status) {
	if pod.Invalid != nil {
		return framework.PreFilterResult{}, framework.RejectForGood("parsing pod: " + pod.Invalid.Error())
	}
	wants := len(pod.Affinity)+len(pod.AntiAffinity) > 0
	if !wants && !snapshot.AnyAntiAffinity() {
		return framework.PreFilterResult{}, nil
	}
	f := &neighbours{
		pod:        pod,
		namespaces: snapshot.Namespaces,
		relations:  map[framework.Class]relation{},
	}
	f.self = f.allSelect(pod.Affinity, pod)
	for _, node := range snapshot.Nodes {
		if wants || node.AnyAntiAffinity() {
			f.countAll(node)
		}
	}
	if !wants && f.refused.domains == 0 {
		return framework.PreFilterResult{}, nil
	}
	return framework.PreFilterResult{Filter: f}, nil
}

// neighbours knows which topology domains have pods that the pod wants to be
// near to, or far from, or that want to be far from it.
type neighbours struct {
	pod        *framework.Pod
	namespaces map[string]labels.Set
	self       bool // the pod satisfies its own affinity

	wanted   tallies // pods that all of the pod's affinity terms select
	unwanted tallies // pods that an anti-affinity term of the pod selects
	refused  tallies // pods with an anti-affinity term that selects the pod

	// relations has what was found out about classes of pods. It is complete
	// once PreFilter is done, and not written any more.
	relations map[framework.Class]relation
}

var _ framework.TrackingFilter = (*neighbours)(nil)

// A relation is what a pod's being on a node means to the new pod, by the
// topology keys in which it means it.
type relation struct {
	wanted, unwanted, refused []string
}

func (f *neighbours) countAll(node *framework.Node) {
	for i := range node.Groups {
		group := &node.Groups[i]
		relation, known := f.relations[group.Class]
		if !known {
			relation = f.relate(group.Pod)
			f.relations[group.Class] = relation
		}
		f.count(relation, node, group.Count)
	}
}

func (f *neighbours) count(r relation, node *framework.Node, n int64) {
	for _, key := range r.wanted {
		f.wanted.add(key, node, n)
	}
	for _, key := range r.unwanted {
		f.unwanted.add(key, node, n)
	}
	for _, key := range r.refused {
		f.refused.add(key, node, n)
	}
}

func (f *neighbours) relate(other *framework.Pod) relation {
	var r relation
	if len(f.pod.Affinity) > 0 && f.allSelect(f.pod.Affinity, other) {
		for i := range f.pod.Affinity {
			r.wanted = append(r.wanted, f.pod.Affinity[i].TopologyKey)
		}
	}
	r.unwanted = f.keysOf(f.pod.AntiAffinity, other)
	r.refused = f.keysOf(other.AntiAffinity, f.pod)
	return r
}

// keysOf returns the topology keys of the terms that select the pod.
func (f *neighbours) keysOf(terms []framework.Term, pod *framework.Pod) []string {
	var keys []string
	for i := range terms {
		if terms[i].Selects(pod, f.namespaces[pod.Namespace]) {
			keys = append(keys, terms[i].TopologyKey)
		}
	}
	return keys
}

// allSelect reports whether every term selects the pod. Affinity looks for one
// pod that is all that was asked for, not for one pod per term.
func (f *neighbours) allSelect(terms []framework.Term, pod *framework.Pod) bool {
	for i := range terms {
		if !terms[i].Selects(pod, f.namespaces[pod.Namespace]) {
			return false
		}
	}
	return true
}

func (f *neighbours) Filter(node *framework.Node) *framework.Status {
	switch {
	case !f.nearWanted(node):
		return noAffinity
	case f.unwanted.any(node):
		return antiAffinity
	case f.refused.any(node):
		return existingAffinity
	}
	return nil
}

// nearWanted reports whether the node is in a domain with a wanted pod, for each
// of the pod's affinity terms. The first pod of a group that wants to be
// together has nobody to be near to: it may go to any node that has the labels.
func (f *neighbours) nearWanted(node *framework.Node) bool {
	near := true
	for i := range f.pod.Affinity {
		key := f.pod.Affinity[i].TopologyKey
		domain, ok := node.Labels[key]
		if !ok {
			return false
		}
		near = near && f.wanted.of(key, domain) > 0
	}
	return near || f.wanted.domains == 0 && f.self
}

func (f *neighbours) AddPod(added *framework.Pod, node *framework.Node) {
	f.count(f.relation(added), node, 1)
}

func (f *neighbours) RemovePod(removed *framework.Pod, node *framework.Node) {
	f.count(f.relation(removed), node, -1)
}

func (f *neighbours) relation(other *framework.Pod) relation {
	if r, known := f.relations[other.Class]; known {
		return r
	}
	return f.relate(other)
}

func (f *neighbours) Clone() framework.TrackingFilter {
	c := *f
	c.wanted, c.unwanted, c.refused = f.wanted.clone(), f.unwanted.clone(), f.refused.clone()
	return &c
}

// Helps follows what each kind of term needs: a pod to come for affinity, one to
// go for anti-affinity, a node with the right labels for either. A namespace's
// labels are not at hand, so a term that selects namespaces may mean any.
func (p *InterPodAffinity) Helps(pod *framework.Pod, event framework.Event) bool {
	switch {
	case event.Is(framework.SelfRelabelled):
		return true
	case event.Is(framework.PodAdded):
		return mayWant(pod, event.NewPod)
	case event.Is(framework.PodRemoved):
		return mayRefuse(pod, event.OldPod) || mayRefuse(event.OldPod, pod)
	case event.Is(framework.PodRelabelled):
		return !mayWant(pod, event.OldPod) && mayWant(pod, event.NewPod) ||
			mayRefuse(pod, event.OldPod) && !mayRefuse(pod, event.NewPod)
	case event.Is(framework.NodeAdded | framework.NodeRelabelled):
		return changesDomain(pod, event)
	}
	return false
}

// mayWant reports whether all of the pod's affinity terms may select the other.
func mayWant(pod, other *framework.Pod) bool {
	for i := range pod.Affinity {
		if !pod.Affinity[i].MaySelect(other) {
			return false
		}
	}
	return len(pod.Affinity) > 0
}

// mayRefuse reports whether an anti-affinity term of the pod may select the
// other.
func mayRefuse(pod, other *framework.Pod) bool {
	for i := range pod.AntiAffinity {
		if pod.AntiAffinity[i].MaySelect(other) {
			return true
		}
	}
	return false
}

// changesDomain reports whether a node has entered a domain where the pod may
// find whom it wants, or left one where it may find whom it does not want.
func changesDomain(pod *framework.Pod, event framework.Event) bool {
	domains := func(key string) (before, after string) {
		if event.OldNode != nil {
			before = event.OldNode.Labels[key]
		}
		return before, event.NewNode.Labels[key]
	}
	for i := range pod.Affinity {
		if before, after := domains(pod.Affinity[i].TopologyKey); after != "" && after != before {
			return true
		}
	}
	for i := range pod.AntiAffinity {
		before, after := domains(pod.AntiAffinity[i].TopologyKey)
		if event.OldNode == nil || before != "" && after != before {
			return true
		}
	}
	return false
}
