package framework_test

import (
	"testing"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
)

func TestActionsHaveUpstreamsNames(t *testing.T) {
	for action, want := range map[framework.Action]string{
		framework.PodAdded:      "AssignedPodAdd",
		framework.PodScaledDown: "AssignedPodUpdatePodScaleDown",
		framework.SelfUngated:   "TargetPodUpdatePodSchedulingGatesEliminated",
		framework.NodeAdded:     "NodeAdd",
		framework.NodeTaints:    "NodeUpdateNodeTaint",
		framework.NodeAllocatable | framework.NodeRelabelled: "NodeUpdateNodeAllocatable",
		framework.Anything: "*All",
		0:                  "",
	} {
		if got := action.String(); got != want {
			t.Errorf("%b: got %q, want %q", action, got, want)
		}
	}
}
