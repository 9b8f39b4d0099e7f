package plugins

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	corev1 "k8s.io/api/core/v1"
	configv1 "k8s.io/kube-scheduler/config/v1"
)

// NodeResourcesFit lets a pod onto nodes that have what it asks for: what the
// node has to give, less what the pods on it have asked for already. What they
// really use does not come into it.
//
// Its score follows a strategy: LeastAllocated spreads load, MostAllocated packs
// nodes full so that others can be switched off, and RequestedToCapacityRatio
// draws any curve between.
type NodeResourcesFit struct {
	strategy  strategy
	resources []resource

	ignored, ignoredGroups []string // extended resources that are not checked
}

type resource struct {
	name   corev1.ResourceName
	weight int64
}

// NewNodeResourcesFit takes nil for the defaults.
func NewNodeResourcesFit(args *configv1.NodeResourcesFitArgs) (*NodeResourcesFit, error) {
	if args == nil {
		args = &configv1.NodeResourcesFitArgs{}
	}
	scoring := args.ScoringStrategy
	if scoring == nil {
		scoring = &configv1.ScoringStrategy{Type: configv1.LeastAllocated}
	}
	strategy, err := newStrategy(scoring)
	if err != nil {
		return nil, err
	}
	return &NodeResourcesFit{
		strategy:  strategy,
		resources: weighed(scoring.Resources),
		ignored:   args.IgnoredResources, ignoredGroups: args.IgnoredResourceGroups,
	}, nil
}

// weighed reads a list of resources to score; the default is cpu and memory, and
// each counts once.
func weighed(specs []configv1.ResourceSpec) []resource {
	if len(specs) == 0 {
		return []resource{{corev1.ResourceCPU, 1}, {corev1.ResourceMemory, 1}}
	}
	resources := make([]resource, 0, len(specs))
	for _, spec := range specs {
		resources = append(resources, resource{corev1.ResourceName(spec.Name), max(spec.Weight, 1)})
	}
	return resources
}

func (*NodeResourcesFit) Name() string { return "NodeResourcesFit" }

// What can be missing, one bit each. forGood says that the node would be too
// small for the pod even if it were empty.
const (
	tooManyPods = 1 << iota
	noCPU
	noMemory
	noStorage
	forGood
)

// missing has a status for each combination.
var missing = func() (all [2 * forGood]*framework.Status) {
	texts := []string{"Too many pods", "Insufficient cpu", "Insufficient memory", "Insufficient ephemeral-storage"}
	for bits := range all {
		var reasons []string
		for i, text := range texts {
			if bits&(1<<i) != 0 {
				reasons = append(reasons, text)
			}
		}
		all[bits] = framework.Reject(reasons...)
		if bits&forGood != 0 {
			all[bits] = framework.RejectForGood(reasons...)
		}
	}
	return all
}()

func (p *NodeResourcesFit) Filter(pod *framework.Pod, node *framework.Node) *framework.Status {
	bits := 0
	if int64(len(node.Pods))+1 > node.MaxPods {
		bits = tooManyPods
	}
	check := func(bit int, wanted, taken, allocatable int64) {
		if wanted > 0 && wanted > allocatable-taken {
			bits |= bit
			if wanted > allocatable {
				bits |= forGood
			}
		}
	}
	want, taken, has := &pod.Requests, &node.Requested, &node.Allocatable
	check(noCPU, want.MilliCPU, taken.MilliCPU, has.MilliCPU)
	check(noMemory, want.Memory, taken.Memory, has.Memory)
	check(noStorage, want.EphemeralStorage, taken.EphemeralStorage, has.EphemeralStorage)
	if len(want.Extended) > 0 {
		return p.extended(pod, node, bits)
	}
	if bits != 0 {
		return missing[bits]
	}
	return nil
}

// extended checks the extended resources too, and adds to what is missing.
func (p *NodeResourcesFit) extended(pod *framework.Pod, node *framework.Node, bits int) *framework.Status {
	var reasons []string
	for _, name := range slices.Sorted(maps.Keys(pod.Requests.Extended)) {
		wanted := pod.Requests.Extended[name]
		if wanted <= node.Allocatable.Extended[name]-node.Requested.Extended[name] || wanted == 0 || p.ignores(name) {
			continue
		}
		reasons = append(reasons, "Insufficient "+string(name))
		if wanted > node.Allocatable.Extended[name] {
			bits |= forGood
		}
	}
	if bits == 0 && len(reasons) == 0 {
		return nil
	}
	return &framework.Status{Code: missing[bits].Code, Reasons: append(slices.Clone(missing[bits].Reasons), reasons...)}
}

// ignores reports whether the configuration leaves the resource to others.
func (p *NodeResourcesFit) ignores(name corev1.ResourceName) bool {
	group, _, extended := strings.Cut(string(name), "/")
	return extended && (slices.Contains(p.ignored, string(name)) || slices.Contains(p.ignoredGroups, group))
}

// Score is the weighted mean over the resources of what the strategy says about
// the node with the pod on it.
func (p *NodeResourcesFit) Score(pod *framework.Pod, node *framework.Node) int64 {
	var sum, weights int64
	for _, r := range p.resources {
		wanted := pod.NonZero.Of(r.name)
		if wanted == 0 && !builtIn(r.name) {
			continue
		}
		allocatable := node.Allocatable.Of(r.name)
		if allocatable == 0 {
			continue
		}
		score := p.strategy.score(node.NonZero.Of(r.name)+wanted, allocatable)
		if p.strategy.rounds && score <= 0 {
			continue
		}
		sum += score * r.weight
		weights += r.weight
	}
	return p.strategy.mean(sum, weights)
}

// builtIn reports whether every pod counts as a user of the resource. A pod that
// wants no GPU should not be sent where many or few of them are taken.
func builtIn(name corev1.ResourceName) bool {
	return name == corev1.ResourceCPU || name == corev1.ResourceMemory || name == corev1.ResourceEphemeralStorage
}

func (*NodeResourcesFit) Alike(a, b *framework.Pod) bool {
	return a.Requests.Equal(&b.Requests) && a.NonZero.Equal(&b.NonZero)
}

func (p *NodeResourcesFit) Helps(pod *framework.Pod, event framework.Event) bool {
	switch {
	case event.Is(framework.PodRemoved | framework.SelfScaledDown):
		return true
	case event.Is(framework.PodScaledDown):
		return wantsAnyOf(pod, &event.OldPod.Requests, &event.NewPod.Requests)
	case event.Is(framework.NodeAdded):
		return p.Filter(pod, framework.NewNode(event.NewNode)) == nil
	case event.Is(framework.NodeAllocatable):
		before, after := framework.NewNode(event.OldNode), framework.NewNode(event.NewNode)
		return p.Filter(pod, after) == nil &&
			(after.MaxPods > before.MaxPods || wantsAnyOf(pod, &after.Allocatable, &before.Allocatable))
	}
	return false
}

// wantsAnyOf reports whether there is more in larger than in smaller of anything
// that the pod asks for.
func wantsAnyOf(pod *framework.Pod, larger, smaller *framework.Resources) bool {
	more := func(name corev1.ResourceName) bool {
		return pod.Requests.Of(name) > 0 && larger.Of(name) > smaller.Of(name)
	}
	return more(corev1.ResourceCPU) || more(corev1.ResourceMemory) || more(corev1.ResourceEphemeralStorage) ||
		slices.ContainsFunc(slices.Collect(maps.Keys(pod.Requests.Extended)), more)
}

// A strategy says how good it is that so much of a resource is requested.
type strategy struct {
	score func(requested, allocatable int64) int64

	// rounds: a mean is rounded and not cut off, and resources with the score
	// 0 are left out of it.
	rounds bool
}

func (s strategy) mean(sum, weights int64) int64 {
	switch {
	case weights == 0:
		return 0
	case s.rounds:
		return (2*sum + weights) / (2 * weights)
	}
	return sum / weights
}

func newStrategy(scoring *configv1.ScoringStrategy) (strategy, error) {
	switch scoring.Type {
	case configv1.LeastAllocated, "":
		return strategy{score: leastAllocated}, nil
	case configv1.MostAllocated:
		return strategy{score: mostAllocated}, nil
	case configv1.RequestedToCapacityRatio:
		if scoring.RequestedToCapacityRatio == nil || len(scoring.RequestedToCapacityRatio.Shape) == 0 {
			return strategy{}, fmt.Errorf("scoring strategy %s: requestedToCapacityRatio.shape: at least one point is required", scoring.Type)
		}
		return strategy{score: curve(scoring.RequestedToCapacityRatio.Shape).ratio, rounds: true}, nil
	}
	return strategy{}, fmt.Errorf("scoring strategy %q: want %s, %s or %s", scoring.Type,
		configv1.LeastAllocated, configv1.MostAllocated, configv1.RequestedToCapacityRatio)
}

// leastAllocated is the percentage that stays free.
func leastAllocated(requested, allocatable int64) int64 {
	if requested > allocatable {
		return 0
	}
	return (allocatable - requested) * framework.MaxScore / allocatable
}

// mostAllocated is the percentage that is taken.
func mostAllocated(requested, allocatable int64) int64 {
	return min(requested, allocatable) * framework.MaxScore / allocatable
}

// A curve is drawn by straight lines from point to point, and level beyond the
// first and the last.
type curve []configv1.UtilizationShapePoint

// ratio returns the curve's value for a share of what is there.
func (c curve) ratio(requested, allocatable int64) int64 {
	const scale = framework.MaxScore / 10 // the points' scores are 0 to 10
	used := min(requested*100/allocatable, 100)
	for i, point := range c {
		if used > int64(point.Utilization) {
			continue
		}
		if i == 0 {
			return int64(point.Score) * scale
		}
		from := c[i-1]
		rise := int64(point.Score-from.Score) * scale
		return int64(from.Score)*scale + rise*(used-int64(from.Utilization))/int64(point.Utilization-from.Utilization)
	}
	return int64(c[len(c)-1].Score) * scale
}
