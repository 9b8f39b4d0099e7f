package schedulertest

import (
	"fmt"
	"testing"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/plugins"
	corev1 "k8s.io/api/core/v1"
)

// TestHintsMissNothing changes one thing in a world. If a plugin says yes to a
// node after that to which it said no before, its hint must have said that the
// event helps, or the pod would wait until the queue's timeout. Upstream is not
// asked: its hints say no to some of what is tried here, see the package comment.
func TestHintsMissNothing(t *testing.T) {
	var kinds []string
	for _, name := range []string{"NodeUnschedulable", "TaintToleration", "NodeAffinity", "NodePorts", "NodeResourcesFit", "PodTopologySpread", "InterPodAffinity"} {
		kinds = append(kinds, name+" helped", name+" spared")
	}
	each(t, func(t *testing.T, w *world, seen seen) {
		profile := w.profile()
		before := map[string]map[string]bool{}
		for _, p := range profile {
			before[p.name] = w.accepted(t, p)
		}
		nodes := len(w.nodes)
		event := w.change(t)
		if event.Action == 0 {
			return
		}
		for _, p := range profile {
			our := w.plugin(t, p)
			hint, ok := our.(framework.QueueingHint)
			if !ok || len(before[p.name]) == nodes {
				continue // it has rejected nothing, and is not asked
			}
			helps := hint.Helps(parsed(t, w.pod), event)
			seen[p.name+map[bool]string{true: " helped", false: " spared"}[helps]]++
			for node := range w.accepted(t, p) {
				if !before[p.name][node] && !helps {
					t.Errorf("%s accepts %s now, but its hint was that this does not help: %s", p.name, node, describe(event))
				}
			}
		}
	}, kinds...)
}

func describe(e framework.Event) string {
	text := fmt.Sprintf("action %b", e.Action)
	if e.OldPod != nil {
		text += fmt.Sprintf("\nold pod %s/%s on %q %v", e.OldPod.Namespace, e.OldPod.Name, e.OldPod.Spec.NodeName, e.OldPod.Labels)
	}
	if e.NewPod != nil {
		text += fmt.Sprintf("\nnew pod %s/%s on %q %v", e.NewPod.Namespace, e.NewPod.Name, e.NewPod.Spec.NodeName, e.NewPod.Labels)
	}
	if e.OldNode != nil {
		text += fmt.Sprintf("\nold node %s %v", e.OldNode.Name, e.OldNode.Labels)
	}
	if e.NewNode != nil {
		text += fmt.Sprintf("\nnew node %s %v", e.NewNode.Name, e.NewNode.Labels)
	}
	return text
}

func (w *world) plugin(t *testing.T, p plugin) framework.Plugin {
	t.Helper()
	our, err := plugins.New(p.name, p.args, w.together)
	if err != nil {
		t.Fatal(err)
	}
	return our
}

// accepted returns the nodes to which the plugin says yes.
func (w *world) accepted(t *testing.T, p plugin) map[string]bool {
	t.Helper()
	snapshot, pod := w.snapshot(t), parsed(t, w.pod)
	var result framework.PreFilterResult
	var status *framework.Status
	switch our := w.plugin(t, p).(type) {
	case framework.PreFilterPlugin:
		result, status = our.PreFilter(snapshot, pod)
	case framework.FilterPlugin:
		result.Filter = bound{our, pod}
	default:
		return nil
	}
	accepted := map[string]bool{}
	for _, node := range snapshot.Nodes {
		if status.OK() && (result.Filter == nil || result.Filter.Filter(node).OK()) {
			accepted[node.Name] = true
		}
	}
	return accepted
}

// change changes one thing, and returns the event. Its action is 0 if there was
// nothing to change.
func (w *world) change(t *testing.T) framework.Event {
	t.Helper()
	switch w.IntN(5) {
	case 0:
		return w.changeSelf(t)
	case 1, 2:
		return w.changeNode()
	}
	return w.changePod(t)
}

func (w *world) changeSelf(t *testing.T) framework.Event {
	t.Helper()
	before := parsed(t, w.pod)
	w.pod = w.pod.DeepCopy()
	switch w.IntN(3) {
	case 0:
		w.pod.Spec.Tolerations = append(w.pod.Spec.Tolerations, w.toleration())
	case 1:
		w.pod.Labels = map[string]string{"app": w.app()}
	case 2:
		w.pod.Spec.Containers[0].Resources.Requests = nil
	}
	return framework.SelfUpdated(before, parsed(t, w.pod))
}

func (w *world) changeNode() framework.Event {
	if w.chance(30) {
		node := w.node(len(w.nodes))
		w.nodes = append(w.nodes, node)
		return framework.Event{Action: framework.NodeAdded, NewNode: node}
	}
	i := w.IntN(len(w.nodes))
	before := w.nodes[i]
	other := w.node(i)
	after := before.DeepCopy()
	switch w.IntN(4) {
	case 0:
		after.Labels = other.Labels
	case 1:
		after.Spec.Taints = other.Spec.Taints
	case 2:
		after.Spec.Unschedulable = !after.Spec.Unschedulable
	case 3:
		after.Status.Allocatable = other.Status.Allocatable
	}
	w.nodes[i] = after
	return framework.NodeUpdated(before, after)
}

func (w *world) changePod(t *testing.T) framework.Event {
	t.Helper()
	if w.chance(30) || len(w.placed) == 0 {
		pod := w.newPod()
		pod.Spec.NodeName = pick(w, w.nodes...).Name
		w.placed = append(w.placed, pod)
		return framework.Event{Action: framework.PodAdded, NewPod: parsed(t, pod)}
	}
	i := w.IntN(len(w.placed))
	before, after := w.placed[i], w.placed[i].DeepCopy()
	switch w.IntN(4) {
	case 0:
		after.Labels = map[string]string{"app": w.app()}
	case 1:
		after.Spec.Containers[0].Resources.Requests = corev1.ResourceList{}
	default:
		w.placed = append(append([]*corev1.Pod{}, w.placed[:i]...), w.placed[i+1:]...)
		return framework.Event{Action: framework.PodRemoved, OldPod: parsed(t, before)}
	}
	w.placed[i] = after
	return framework.PodUpdated(parsed(t, before), parsed(t, after))
}
