package plugins_test

import (
	"testing"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/plugins"
)

func TestNodeUnschedulable(t *testing.T) {
	const cordoned = `spec: {unschedulable: true}`
	const tolerates = `spec: {tolerations: [{key: node.kubernetes.io/unschedulable, operator: Exists}]}`
	checkVerdicts(t, plugins.NodeUnschedulable{}, []verdict{
		{name: "open node"},
		{name: "cordoned node", node: cordoned, want: "UnschedulableAndUnresolvable: node(s) were unschedulable"},
		{name: "tolerated", node: cordoned, pod: tolerates},
	})
	checkHints(t, plugins.NodeUnschedulable{}, []hint{
		{name: "open node comes", event: nodeAdded(t, ""), want: true},
		{name: "cordoned node comes", event: nodeAdded(t, cordoned)},
		{name: "uncordoned", event: nodeUpdated(t, cordoned, ""), want: true},
		{name: "still cordoned", event: nodeUpdated(t, cordoned, `spec: {unschedulable: true, taints: [{key: k, effect: NoSchedule}]}`)},
		{name: "new toleration", event: selfUpdated(t, "", tolerates), want: true},
		{name: "other toleration", event: selfUpdated(t, "", `spec: {tolerations: [{key: k}]}`)},
	})
}
