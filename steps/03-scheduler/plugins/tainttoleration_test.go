package plugins_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework/frameworktest"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/plugins"
)

func TestTaintToleration(t *testing.T) {
	const untolerated = "UnschedulableAndUnresolvable: node(s) had untolerated taint(s)"
	const tainted = `spec: {taints: [{key: gpu, value: a100, effect: NoSchedule}]}`
	checkVerdicts(t, plugins.TaintToleration{}, []verdict{
		{name: "no taints"},
		{name: "NoSchedule", node: tainted, want: untolerated},
		{name: "NoExecute", node: `spec: {taints: [{key: gone, effect: NoExecute}]}`, want: untolerated},
		{name: "PreferNoSchedule is a wish", node: `spec: {taints: [{key: old, effect: PreferNoSchedule}]}`},
		{name: "tolerated by value", node: tainted, pod: `spec: {tolerations: [{key: gpu, value: a100}]}`},
		{name: "other value", node: tainted, pod: `spec: {tolerations: [{key: gpu, value: h100}]}`, want: untolerated},
		{name: "other effect", node: tainted, pod: `spec: {tolerations: [{key: gpu, operator: Exists, effect: NoExecute}]}`, want: untolerated},
		{name: "everything tolerated", node: tainted, pod: `spec: {tolerations: [{operator: Exists}]}`},
		{name: "one of two", node: `spec: {taints: [{key: a, effect: NoSchedule}, {key: b, effect: NoSchedule}]}`,
			pod: `spec: {tolerations: [{key: a, operator: Exists}]}`, want: untolerated},
	})
	checkHints(t, plugins.TaintToleration{}, []hint{
		{name: "node without taints comes", event: nodeAdded(t, ""), want: true},
		{name: "tainted node comes", event: nodeAdded(t, tainted)},
		{name: "taint removed", event: nodeUpdated(t, tainted, ""), want: true},
		{name: "taint added", event: nodeUpdated(t, "", tainted)},
		{name: "toleration added", event: selfUpdated(t, "", `spec: {tolerations: [{key: k}]}`), want: true},
	})
}

func TestFewerSoftTaintsAreBetter(t *testing.T) {
	snapshot := frameworktest.Snapshot(
		frameworktest.Node(t, "none", ""),
		frameworktest.Node(t, "one", `spec: {taints: [{key: a, effect: PreferNoSchedule}]}`),
		frameworktest.Node(t, "two", `spec: {taints: [{key: a, effect: PreferNoSchedule}, {key: b, effect: PreferNoSchedule}]}`),
	)
	for _, row := range []struct {
		name, pod string
		want      map[string]int64
	}{
		{"tolerates nothing", "", map[string]int64{"none": 100, "one": 50, "two": 0}},
		{"tolerates one", `spec: {tolerations: [{key: a, operator: Exists}]}`, map[string]int64{"none": 100, "one": 100, "two": 0}},
		{"tolerates all", `spec: {tolerations: [{operator: Exists}]}`, map[string]int64{"none": 100, "one": 100, "two": 100}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := frameworktest.Scores(t, plugins.TaintToleration{}, snapshot, frameworktest.Pod(t, "new", row.pod))
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("scores (-want +got)\n%s", diff)
			}
		})
	}
}
