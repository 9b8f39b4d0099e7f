package plugins

import (
	"math"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	configv1 "k8s.io/kube-scheduler/config/v1"
)

// NodeResourcesBalancedAllocation likes nodes where the pod brings the shares of
// cpu and memory that are taken closer together. A node whose processors are all
// taken while half of its memory is free has that half for nothing.
type NodeResourcesBalancedAllocation struct {
	resources []resource
}

// NewNodeResourcesBalancedAllocation takes nil for the defaults.
func NewNodeResourcesBalancedAllocation(args *configv1.NodeResourcesBalancedAllocationArgs) *NodeResourcesBalancedAllocation {
	if args == nil {
		args = &configv1.NodeResourcesBalancedAllocationArgs{}
	}
	return &NodeResourcesBalancedAllocation{weighed(args.Resources)}
}

func (*NodeResourcesBalancedAllocation) Name() string { return "NodeResourcesBalancedAllocation" }

// PreScore has nothing to say about a pod that asks for nothing: it would send
// all such pods to the same node.
func (p *NodeResourcesBalancedAllocation) PreScore(_ *framework.Snapshot, pod *framework.Pod, _ []*framework.Node) (framework.Score, *framework.Status) {
	for _, r := range p.resources {
		if pod.Requests.Of(r.name) != 0 {
			return balance{p.resources, pod}, nil
		}
	}
	return nil, nil
}

func (*NodeResourcesBalancedAllocation) Alike(a, b *framework.Pod) bool {
	return a.Requests.Equal(&b.Requests)
}

type balance struct {
	resources []resource
	pod       *framework.Pod
}

// Score is 75 where the pod makes no difference, 100 where it makes a lopsided
// node even, and 50 the other way round.
func (b balance) Score(node *framework.Node) int64 {
	const half = framework.MaxScore / 2
	return half + (half+b.evenness(node, 1)-b.evenness(node, 0))/2
}

// evenness is 100 if the same share of each resource is taken, with pods times
// the pod on the node, and 50 if all of one and nothing of another: 1 less the
// standard deviation of the shares.
func (b balance) evenness(node *framework.Node, pods int64) int64 {
	shares := make([]float64, 0, 4) // on the stack, for as many resources as anyone lists
	sum := 0.0
	for _, r := range b.resources {
		wanted := b.pod.Requests.Of(r.name)
		allocatable := node.Allocatable.Of(r.name)
		if allocatable == 0 || wanted == 0 && !builtIn(r.name) {
			continue
		}
		share := min(float64(node.Requested.Of(r.name)+pods*wanted)/float64(allocatable), 1)
		shares = append(shares, share)
		sum += share
	}
	return int64((1 - deviation(shares, sum)) * framework.MaxScore)
}

// deviation is the standard deviation of the shares. The formula for two gives
// the same as the general one, without its rounding errors.
func deviation(shares []float64, sum float64) float64 {
	switch len(shares) {
	case 0, 1:
		return 0
	case 2:
		return math.Abs((shares[0] - shares[1]) / 2)
	}
	mean, squares := sum/float64(len(shares)), 0.0
	for _, share := range shares {
		squares += (share - mean) * (share - mean)
	}
	return math.Sqrt(squares / float64(len(shares)))
}
