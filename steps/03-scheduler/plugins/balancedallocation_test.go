package plugins_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework/frameworktest"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/plugins"
	configv1 "k8s.io/kube-scheduler/config/v1"
)

func TestNodeResourcesBalancedAllocation(t *testing.T) {
	three := &configv1.NodeResourcesBalancedAllocationArgs{Resources: []configv1.ResourceSpec{{Name: "cpu"}, {Name: "memory"}, {Name: "example.com/gpu"}}}
	for _, row := range []struct {
		name string
		args *configv1.NodeResourcesBalancedAllocationArgs
		pod  string
		want map[string]int64
	}{
		{"even requests make little difference", nil, asks(`cpu: 1, memory: 2Gi`), map[string]int64{"empty": 75, "cpu": 75, "memory": 75}},
		{"cpu goes where memory is taken", nil, asks(`cpu: 2`), map[string]int64{"empty": 62, "cpu": 62, "memory": 87}},
		{"asks for nothing", nil, asks(``), map[string]int64{"empty": 0, "cpu": 0, "memory": 0}},
		{"three resources", three, asks(`cpu: 1, memory: 2Gi, example.com/gpu: 1`), map[string]int64{"empty": 69, "cpu": 76, "memory": 76}},
	} {
		t.Run(row.name, func(t *testing.T) {
			snapshot := frameworktest.Snapshot(
				frameworktest.Node(t, "empty", gives(`example.com/gpu: 2`)),
				frameworktest.Node(t, "cpu", gives(`example.com/gpu: 2`), frameworktest.Pod(t, "a", asks(`cpu: 2`))),
				frameworktest.Node(t, "memory", gives(`example.com/gpu: 2`), frameworktest.Pod(t, "b", asks(`memory: 4Gi`))),
			)
			plugin := plugins.NewNodeResourcesBalancedAllocation(row.args)
			if diff := cmp.Diff(row.want, frameworktest.Scores(t, plugin, snapshot, frameworktest.Pod(t, "new", row.pod))); diff != "" {
				t.Errorf("scores (-want +got)\n%s", diff)
			}
		})
	}
}
