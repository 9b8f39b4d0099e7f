package plugins

import (
	"fmt"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	configv1 "k8s.io/kube-scheduler/config/v1"
)

// PodTopologySpread keeps the pods that belong together apart: no topology
// domain (a zone, a node) may have more than maxSkew of them above the domain
// that has the fewest. With whenUnsatisfiable: ScheduleAnyway it is a wish.
//
// A pod without constraints of its own gets the profile's, for the pods of the
// same service or owner.
type PodTopologySpread struct {
	defaults []corev1.TopologySpreadConstraint

	// system: the defaults are the built-in ones, which don't ask that a
	// node has all the labels. Clusters without zones spread over nodes.
	system bool

	together Together
}

// Together returns a selector for the pods that belong together with a pod: of
// the same services, of the same owner. An empty selector means that the pod
// stands alone.
type Together func(pod *corev1.Pod) labels.Selector

var (
	skewed       = framework.Reject("node(s) didn't match pod topology spread constraints")
	outOfDomains = framework.RejectForGood("node(s) didn't match pod topology spread constraints (missing required label)")
)

// systemDefaults spread a service's pods over nodes first, and over zones.
var systemDefaults = []corev1.TopologySpreadConstraint{
	{TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway, MaxSkew: 3},
	{TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.ScheduleAnyway, MaxSkew: 5},
}

// NewPodTopologySpread takes nil args for the defaults, and a nil together if
// no pods belong together: there are no default constraints then.
func NewPodTopologySpread(args *configv1.PodTopologySpreadArgs, together Together) (*PodTopologySpread, error) {
	if args == nil {
		args = &configv1.PodTopologySpreadArgs{}
	}
	p := &PodTopologySpread{together: together}
	switch args.DefaultingType {
	case configv1.SystemDefaulting, "":
		if len(args.DefaultConstraints) > 0 {
			return nil, fmt.Errorf("defaultConstraints: must be empty when defaultingType is %s", configv1.SystemDefaulting)
		}
		p.defaults, p.system = systemDefaults, true
	case configv1.ListDefaulting:
		p.defaults = args.DefaultConstraints
	default:
		return nil, fmt.Errorf("defaultingType %q: want %s or %s", args.DefaultingType, configv1.SystemDefaulting, configv1.ListDefaulting)
	}
	return p, nil
}

func (*PodTopologySpread) Name() string { return "PodTopologySpread" }

// PreFilter counts, for each constraint, the pods that it selects in each of its
// domains.
func (p *PodTopologySpread) PreFilter(snapshot *framework.Snapshot, pod *framework.Pod) (framework.PreFilterResult, *framework.Status) {
	constraints, err := p.constraints(snapshot, pod, corev1.DoNotSchedule)
	if err != nil {
		return framework.PreFilterResult{}, framework.Failed(err)
	}
	if len(constraints) == 0 {
		return framework.PreFilterResult{}, nil
	}
	f := &spread{pod: pod, constraints: constraints, levels: make([]levels, len(constraints))}
	for i := range constraints {
		f.levels[i] = constraints.count(snapshot, pod, i)
	}
	return framework.PreFilterResult{Filter: f}, nil
}

// constraints returns the pod's constraints of one kind, or the default ones.
func (p *PodTopologySpread) constraints(snapshot *framework.Snapshot, pod *framework.Pod, kind corev1.UnsatisfiableConstraintAction) (constraints, error) {
	cs, err := p.parse(pod, kind)
	for i := range cs {
		cs[i].topology = snapshot.Topology(cs[i].key)
	}
	return cs, err
}

func (p *PodTopologySpread) parse(pod *framework.Pod, kind corev1.UnsatisfiableConstraintAction) (constraints, error) {
	if own := pod.Spec.TopologySpreadConstraints; len(own) > 0 {
		return parseConstraints(own, pod, kind)
	}
	if p.together == nil {
		return nil, nil
	}
	defaults, err := parseConstraints(p.defaults, pod, kind)
	if err != nil || len(defaults) == 0 {
		return nil, err
	}
	selector := p.together(pod.Pod)
	if selector.Empty() {
		return nil, nil
	}
	for i := range defaults {
		defaults[i].selects(selector, pod)
	}
	return defaults, nil
}

// spread says whether a pod more in a node's domains would be one too many.
type spread struct {
	pod         *framework.Pod
	constraints constraints
	levels      []levels // by constraint
}

var _ framework.TrackingFilter = (*spread)(nil)

func (s *spread) Filter(node *framework.Node) *framework.Status {
	for i := range s.constraints {
		c := &s.constraints[i]
		domain, ok := c.topology.Domain(node)
		if !ok {
			return outOfDomains
		}
		if s.levels[i].of(domain)+c.self-s.levels[i].least(c.minDomains) > c.maxSkew {
			return skewed
		}
	}
	return nil
}

func (s *spread) AddPod(added *framework.Pod, node *framework.Node)      { s.update(added, node, 1) }
func (s *spread) RemovePod(removed *framework.Pod, node *framework.Node) { s.update(removed, node, -1) }

func (s *spread) update(pod *framework.Pod, node *framework.Node, n int64) {
	if !s.constraints.allAt(node.Place()) {
		return
	}
	for i := range s.constraints {
		if c := &s.constraints[i]; c.counts(pod) && c.includes(s.pod, node) {
			domain, _ := c.topology.Domain(node)
			s.levels[i].add(domain, n)
		}
	}
}

func (s *spread) Clone() framework.TrackingFilter {
	c := *s
	c.levels = make([]levels, len(s.levels))
	for i := range s.levels {
		c.levels[i] = s.levels[i].cloned()
	}
	return &c
}

// Helps looks for what changes a count, or which domains there are.
func (p *PodTopologySpread) Helps(pod *framework.Pod, event framework.Event) bool {
	constraints, err := p.parse(pod, corev1.DoNotSchedule)
	if err != nil {
		return true
	}
	switch {
	case event.Is(framework.SelfRelabelled):
		return true // it may belong to others now, or be of another generation
	case event.Is(framework.SelfTolerates):
		return constraints.honorTaints()
	case event.Is(framework.PodRelabelled):
		return event.NewPod.Namespace == pod.Namespace && constraints.differ(event.OldPod, event.NewPod)
	case event.Is(framework.PodAdded):
		return event.NewPod.Namespace == pod.Namespace && constraints.anySelects(event.NewPod)
	case event.Is(framework.PodRemoved):
		return event.OldPod.Namespace == pod.Namespace && constraints.anySelects(event.OldPod)
	case event.Is(framework.NodeAdded | framework.NodeRemoved | framework.NodeRelabelled | framework.NodeTaints):
		return constraints.nodeHelps(event)
	}
	return false
}

// parseConstraints returns those of a kind.
func parseConstraints(list []corev1.TopologySpreadConstraint, pod *framework.Pod, kind corev1.UnsatisfiableConstraintAction) (constraints, error) {
	var parsed constraints
	for i := range list {
		if list[i].WhenUnsatisfiable != kind {
			continue
		}
		c, err := parseConstraint(&list[i], pod)
		if err != nil {
			return nil, fmt.Errorf("topologySpreadConstraints[%d].labelSelector: %w", i, err)
		}
		parsed = append(parsed, c)
	}
	return parsed, nil
}

func parseConstraint(c *corev1.TopologySpreadConstraint, pod *framework.Pod) (constraint, error) {
	selector, err := metav1.LabelSelectorAsSelector(c.LabelSelector)
	if err != nil {
		return constraint{}, err
	}
	parsed := constraint{
		key: c.TopologyKey, maxSkew: int64(c.MaxSkew), minDomains: 1,
		namespace: pod.Namespace,
		honorAffinity: (c.NodeAffinityPolicy == nil || *c.NodeAffinityPolicy == corev1.NodeInclusionPolicyHonor) &&
			(pod.Spec.NodeSelector != nil || requiredNodes(pod) != nil),
		honorTaints: c.NodeTaintsPolicy != nil && *c.NodeTaintsPolicy == corev1.NodeInclusionPolicyHonor,
	}
	if c.MinDomains != nil {
		parsed.minDomains = int(*c.MinDomains)
	}
	parsed.selects(withKeys(selector, c.MatchLabelKeys, pod.Labels), pod)
	return parsed, nil
}

// withKeys adds the pod's own values for the keys of matchLabelKeys, with which
// a Deployment's new pods are spread apart from its old ones. (The API server
// of 1.37 writes them into the selector; asking twice does no harm.)
func withKeys(selector labels.Selector, keys []string, own map[string]string) labels.Selector {
	set := labels.Set{}
	for _, key := range keys {
		if value, ok := own[key]; ok {
			set[key] = value
		}
	}
	requirements, selectable := selector.Requirements()
	if len(set) == 0 || !selectable {
		return selector
	}
	return labels.SelectorFromSet(set).Add(requirements...)
}
