package plugins_test

import (
	"testing"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework/frameworktest"
)

// A verdict is a row of a filter's table: one pod, and one node with at most one
// pod on it.
type verdict struct {
	name  string
	pod   string // YAML
	node  string // YAML
	other string // YAML of a pod on the node; none if empty
	want  string // as frameworktest.Verdict; "" is a yes
}

func checkVerdicts(t *testing.T, plugin framework.Plugin, rows []verdict) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			node := frameworktest.Node(t, "node-1", row.node)
			if row.other != "" {
				node.AddPod(frameworktest.Pod(t, "other", row.other))
			}
			pod := frameworktest.Pod(t, "new", row.pod)
			if got := frameworktest.Verdict(t, plugin, frameworktest.Snapshot(node), pod, "node-1"); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

// A hint is a row of a table about events.
type hint struct {
	name  string
	pod   string // YAML
	event framework.Event
	want  bool
}

func checkHints(t *testing.T, plugin framework.QueueingHint, rows []hint) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if got := plugin.Helps(frameworktest.Pod(t, "new", row.pod), row.event); got != row.want {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
}

// Events, from YAML.
func nodeAdded(t *testing.T, node string) framework.Event {
	return framework.Event{Action: framework.NodeAdded, NewNode: frameworktest.Node(t, "node-1", node).Node}
}

func nodeUpdated(t *testing.T, before, after string) framework.Event {
	return framework.NodeUpdated(frameworktest.Node(t, "node-1", before).Node, frameworktest.Node(t, "node-1", after).Node)
}

func podAdded(t *testing.T, pod string) framework.Event {
	return framework.Event{Action: framework.PodAdded, NewPod: frameworktest.Pod(t, "other", pod)}
}

func podRemoved(t *testing.T, pod string) framework.Event {
	return framework.Event{Action: framework.PodRemoved, OldPod: frameworktest.Pod(t, "other", pod)}
}

func podUpdated(t *testing.T, before, after string) framework.Event {
	return framework.PodUpdated(frameworktest.Pod(t, "other", before), frameworktest.Pod(t, "other", after))
}

func selfUpdated(t *testing.T, before, after string) framework.Event {
	return framework.SelfUpdated(frameworktest.Pod(t, "new", before), frameworktest.Pod(t, "new", after))
}
