package plugins

import (
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	corev1 "k8s.io/api/core/v1"
	configv1 "k8s.io/kube-scheduler/config/v1"
)

// InterPodAffinity puts pods near other pods, or far from them. Near means: in
// the same topology domain, which is a node, a rack or a zone, whatever nodes
// have a label for. What the new pod wants counts, and also what the pods that
// are there already want, since anti-affinity holds in both directions.
//
// Whether a term selects a pod is asked once for all pods that are alike, see
// [framework.Population].
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
	f := newNeighbours(snapshot, pod)
	wants := len(pod.Affinity)+len(pod.AntiAffinity) > 0
	others := snapshot.Affine()
	if wants {
		others = snapshot.Populations()
	}
	for other := range others {
		f.countAll(other)
	}
	if !wants && f.refused.domains == 0 {
		return framework.PreFilterResult{}, nil
	}
	return framework.PreFilterResult{Filter: f}, nil
}

// neighbours knows which topology domains have pods that the pod wants to be
// near to, or far from, or that want to be far from it.
type neighbours struct {
	snapshot *framework.Snapshot
	pod      *framework.Pod
	self     bool // the pod satisfies its own affinity

	wanted   tallies // pods that all of the pod's affinity terms select
	unwanted tallies // pods that an anti-affinity term of the pod selects
	refused  tallies // pods with an anti-affinity term that selects the pod
}

var _ framework.TrackingFilter = (*neighbours)(nil)

func newNeighbours(snapshot *framework.Snapshot, pod *framework.Pod) *neighbours {
	f := &neighbours{
		snapshot: snapshot, pod: pod,
		wanted: tallies{snapshot: snapshot}, unwanted: tallies{snapshot: snapshot}, refused: tallies{snapshot: snapshot},
	}
	for i := range pod.Affinity {
		f.wanted.key(pod.Affinity[i].TopologyKey)
	}
	f.self = f.allSelect(pod.Affinity, pod)
	return f
}

// countAll counts a population in, and count n pods like other on the node: by
// each topology key in which they mean something to the pod.
func (f *neighbours) countAll(population *framework.Population) {
	f.relate(population.Pod, func(t *tallies, key string) { t.addAll(key, population) })
}

func (f *neighbours) count(other *framework.Pod, node *framework.Node, n int64) {
	f.relate(other, func(t *tallies, key string) { t.add(key, node, n) })
}

// relate finds out what pods like other mean to the new one, and in which
// topology keys.
func (f *neighbours) relate(other *framework.Pod, found func(t *tallies, key string)) {
	if len(f.pod.Affinity) > 0 && f.allSelect(f.pod.Affinity, other) {
		for i := range f.pod.Affinity {
			found(&f.wanted, f.pod.Affinity[i].TopologyKey)
		}
	}
	for i := range f.pod.AntiAffinity {
		if term := &f.pod.AntiAffinity[i]; f.selects(term, other) {
			found(&f.unwanted, term.TopologyKey)
		}
	}
	for i := range other.AntiAffinity {
		if term := &other.AntiAffinity[i]; f.selects(term, f.pod) {
			found(&f.refused, term.TopologyKey)
		}
	}
}

func (f *neighbours) selects(term *framework.Term, pod *framework.Pod) bool {
	return term.Selects(pod, f.snapshot.Namespaces[pod.Namespace])
}

// allSelect reports whether every term selects the pod. Affinity looks for one
// pod that is all that was asked for, not for one pod per term.
func (f *neighbours) allSelect(terms []framework.Term, pod *framework.Pod) bool {
	for i := range terms {
		if !f.selects(&terms[i], pod) {
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
	for i := range f.wanted.counts {
		count := &f.wanted.counts[i]
		domain, ok := count.topology.Domain(node)
		if !ok {
			return false
		}
		near = near && count.of(domain) > 0
	}
	return near || f.wanted.domains == 0 && f.self
}

func (f *neighbours) AddPod(added *framework.Pod, node *framework.Node) { f.count(added, node, 1) }

func (f *neighbours) RemovePod(removed *framework.Pod, node *framework.Node) {
	f.count(removed, node, -1)
}

func (f *neighbours) Clone() framework.TrackingFilter {
	c := *f
	c.wanted, c.unwanted, c.refused = f.wanted.clone(), f.unwanted.clone(), f.refused.clone()
	return &c
}

// Helps follows what each kind of term needs: a pod to come for affinity, one to
// go for anti-affinity, a node with the right labels for either. A namespace's
// labels are not at hand, so a term that selects namespaces may mean any.
//
// Upstream's hint is no for some changes that do help, and leaves the pod to the
// timeout of the queue: a node that comes when other pods refuse this one, one
// that changes its zone with such a pod on it, the last of a group going.
func (p *InterPodAffinity) Helps(pod *framework.Pod, event framework.Event) bool {
	switch {
	case event.Is(framework.SelfRelabelled | framework.NodeRelabelled):
		return true
	case event.Is(framework.PodAdded):
		return mayWant(pod, event.NewPod)
	case event.Is(framework.PodRemoved):
		return mayRefuse(pod, event.OldPod) || mayRefuse(event.OldPod, pod) || mayBeFirst(pod, event.OldPod)
	case event.Is(framework.PodRelabelled):
		return !mayWant(pod, event.OldPod) && mayWant(pod, event.NewPod) ||
			mayRefuse(pod, event.OldPod) && !mayRefuse(pod, event.NewPod) || mayBeFirst(pod, event.OldPod)
	case event.Is(framework.NodeAdded):
		return inDomains(pod, event.NewNode)
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

// mayBeFirst reports whether the pod may be the first of its group once the
// other is gone.
func mayBeFirst(pod, other *framework.Pod) bool { return mayWant(pod, other) && mayWant(pod, pod) }

// inDomains reports whether the node has the labels for the pod's affinity.
func inDomains(pod *framework.Pod, node *corev1.Node) bool {
	for i := range pod.Affinity {
		if _, ok := node.Labels[pod.Affinity[i].TopologyKey]; !ok {
			return false
		}
	}
	return true
}
