package plugins

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	configv1 "k8s.io/kube-scheduler/config/v1"
)

// NodeAffinity keeps to what a pod says about its node: spec.nodeSelector and
// required node affinity as a rule, preferred node affinity as a wish. An
// administrator can add affinity of both kinds to all pods of a profile.
type NodeAffinity struct {
	enforced  *nodeaffinity.NodeSelector
	preferred *nodeaffinity.PreferredSchedulingTerms
}

var (
	wrongNode    = framework.RejectForGood("node(s) didn't match Pod's node affinity/selector")
	notEnforced  = framework.RejectForGood("node(s) didn't match scheduler-enforced node affinity")
	selfConflict = framework.RejectForGood("pod affinity terms conflict")
)

// NewNodeAffinity parses the affinity that is added to every pod. args may be
// nil.
func NewNodeAffinity(args *configv1.NodeAffinityArgs) (*NodeAffinity, error) {
	p := &NodeAffinity{}
	if args == nil || args.AddedAffinity == nil {
		return p, nil
	}
	var err error
	if required := args.AddedAffinity.RequiredDuringSchedulingIgnoredDuringExecution; required != nil {
		if p.enforced, err = nodeaffinity.NewNodeSelector(required); err != nil {
			return nil, fmt.Errorf("parsing addedAffinity.requiredDuringSchedulingIgnoredDuringExecution: %w", err)
		}
	}
	if terms := args.AddedAffinity.PreferredDuringSchedulingIgnoredDuringExecution; len(terms) > 0 {
		if p.preferred, err = nodeaffinity.NewPreferredSchedulingTerms(terms); err != nil {
			return nil, fmt.Errorf("parsing addedAffinity.preferredDuringSchedulingIgnoredDuringExecution: %w", err)
		}
	}
	return p, nil
}

func (*NodeAffinity) Name() string { return "NodeAffinity" }

// PreFilter finds out whether the pod names its nodes, as the pods of a
// DaemonSet do: then there is no need to look at the others.
func (p *NodeAffinity) PreFilter(_ *framework.Snapshot, pod *framework.Pod) (framework.PreFilterResult, *framework.Status) {
	required := requiredNodes(pod)
	if required == nil && p.enforced == nil && pod.Spec.NodeSelector == nil {
		return framework.PreFilterResult{}, nil
	}
	names, named := namedNodes(required)
	if named && len(names) == 0 {
		return framework.PreFilterResult{}, selfConflict
	}
	return framework.PreFilterResult{Filter: affine{p, pod}, Nodes: names}, nil
}

func requiredNodes(pod *framework.Pod) *corev1.NodeSelector {
	if a := pod.Spec.Affinity; a != nil && a.NodeAffinity != nil {
		return a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	}
	return nil
}

// namedNodes returns the nodes that the terms name by metadata.name. The terms
// are alternatives, so named is false unless each of them names some; the fields
// within a term must all agree.
func namedNodes(selector *corev1.NodeSelector) (names []string, named bool) {
	if selector == nil || len(selector.NodeSelectorTerms) == 0 {
		return nil, false
	}
	for _, term := range selector.NodeSelectorTerms {
		var agreed []string
		found := false
		for _, field := range term.MatchFields {
			if field.Key != "metadata.name" || field.Operator != corev1.NodeSelectorOpIn {
				continue
			}
			if !found {
				agreed, found = slices.Clone(field.Values), true
				continue
			}
			agreed = slices.DeleteFunc(agreed, func(name string) bool { return !slices.Contains(field.Values, name) })
		}
		if !found {
			return nil, false
		}
		names = append(names, agreed...)
	}
	slices.Sort(names)
	return slices.Compact(names), true
}

// affine asks for one pod.
type affine struct {
	plugin *NodeAffinity
	pod    *framework.Pod
}

// Filter takes a selector that cannot be parsed for one that matches nothing.
func (a affine) Filter(node *framework.Node) *framework.Status {
	if a.plugin.enforced != nil && !a.plugin.enforced.Match(node.Node) {
		return notEnforced
	}
	if match, _ := a.pod.NodeAffinity.Match(node.Node); !match {
		return wrongNode
	}
	return nil
}

func (p *NodeAffinity) PreScore(_ *framework.Snapshot, pod *framework.Pod, _ []*framework.Node) (framework.Score, *framework.Status) {
	wishes := wishes{p.preferred, nil}
	if a := pod.Spec.Affinity; a != nil && a.NodeAffinity != nil && a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution != nil {
		var err error
		wishes.pod, err = nodeaffinity.NewPreferredSchedulingTerms(a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
		if err != nil {
			return nil, framework.Failed(err)
		}
	}
	if wishes.added == nil && wishes.pod == nil {
		return nil, nil
	}
	return wishes, nil
}

// wishes are the preferred terms, the administrator's and the pod's.
type wishes struct {
	added, pod *nodeaffinity.PreferredSchedulingTerms
}

// Score sums the weights of the terms that match.
func (w wishes) Score(node *framework.Node) int64 {
	var sum int64
	if w.added != nil {
		sum += w.added.Score(node.Node)
	}
	if w.pod != nil {
		sum += w.pod.Score(node.Node)
	}
	return sum
}

func (wishes) Normalize(_ []*framework.Node, scores []int64) { scale(scores) }

func (*NodeAffinity) Alike(a, b *framework.Pod) bool {
	return maps.Equal(a.Spec.NodeSelector, b.Spec.NodeSelector) && reflect.DeepEqual(nodeAffinity(a), nodeAffinity(b))
}

func nodeAffinity(pod *framework.Pod) *corev1.NodeAffinity {
	if pod.Spec.Affinity == nil {
		return nil
	}
	return pod.Spec.Affinity.NodeAffinity
}

func (p *NodeAffinity) Helps(pod *framework.Pod, event framework.Event) bool {
	return event.Is(framework.NodeAdded|framework.NodeRelabelled) &&
		p.accepts(pod, event.NewNode) && (event.OldNode == nil || !p.accepts(pod, event.OldNode))
}

// accepts is Filter without a reason.
func (p *NodeAffinity) accepts(pod *framework.Pod, node *corev1.Node) bool {
	match, _ := pod.NodeAffinity.Match(node)
	return match && (p.enforced == nil || p.enforced.Match(node))
}
