package plugins

import (
	"slices"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
)

// NodePorts gives a port of a node to one pod only.
type NodePorts struct{}

var portTaken = framework.Reject("node(s) didn't have free ports for the requested pod ports")

func (NodePorts) Name() string { return "NodePorts" }

func (NodePorts) PreFilter(_ *framework.Snapshot, pod *framework.Pod) (framework.PreFilterResult, *framework.Status) {
	if len(pod.Ports) == 0 {
		return framework.PreFilterResult{}, nil
	}
	return framework.PreFilterResult{Filter: wantedPorts(pod.Ports)}, nil
}

type wantedPorts []framework.HostPort

func (w wantedPorts) Filter(node *framework.Node) *framework.Status {
	if conflict(w, node.Ports) {
		return portTaken
	}
	return nil
}

func conflict(wanted, taken []framework.HostPort) bool {
	return slices.ContainsFunc(wanted, func(port framework.HostPort) bool {
		return slices.ContainsFunc(taken, port.Conflicts)
	})
}

func (NodePorts) Alike(a, b *framework.Pod) bool { return slices.Equal(a.Ports, b.Ports) }

func (NodePorts) Helps(pod *framework.Pod, event framework.Event) bool {
	if event.Is(framework.PodRemoved) {
		return conflict(pod.Ports, event.OldPod.Ports)
	}
	return event.Is(framework.NodeAdded)
}
