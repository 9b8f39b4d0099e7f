package plugins_test

import (
	"testing"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/plugins"
)

func TestNodeName(t *testing.T) {
	checkVerdicts(t, plugins.NodeName{}, []verdict{
		{name: "names none"},
		{name: "names this one", pod: `spec: {nodeName: node-1}`},
		{name: "names another", pod: `spec: {nodeName: node-2}`,
			want: "UnschedulableAndUnresolvable: node(s) didn't match the requested node name"},
	})
	checkHints(t, plugins.NodeName{}, []hint{
		{name: "a node comes", event: nodeAdded(t, ""), want: true},
		{name: "a pod goes", event: podRemoved(t, "")},
	})
}
