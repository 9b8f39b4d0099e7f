package plugins

import "github.com/k8s-groundup/groundup/steps/03-scheduler/framework"

// NodeName lets a pod that names its node go there and nowhere else.
type NodeName struct{}

var wrongName = framework.RejectForGood("node(s) didn't match the requested node name")

func (NodeName) Name() string { return "NodeName" }

// PreFilter has nothing to say about pods that name no node, which is nearly
// all that get here.
func (NodeName) PreFilter(_ *framework.Snapshot, pod *framework.Pod) (framework.PreFilterResult, *framework.Status) {
	if pod.Spec.NodeName == "" {
		return framework.PreFilterResult{}, nil
	}
	return framework.PreFilterResult{Filter: named(pod.Spec.NodeName), Nodes: []string{pod.Spec.NodeName}}, nil
}

type named string

func (n named) Filter(node *framework.Node) *framework.Status {
	if node.Name != string(n) {
		return wrongName
	}
	return nil
}

func (NodeName) Alike(a, b *framework.Pod) bool { return a.Spec.NodeName == b.Spec.NodeName }

func (NodeName) Helps(_ *framework.Pod, event framework.Event) bool {
	return event.Is(framework.NodeAdded)
}
