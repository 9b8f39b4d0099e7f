package plugins

import (
	"fmt"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
)

// SchedulingGates keeps pods out of the queue for as long as somebody has a gate
// on them (spec.schedulingGates), a quota controller for example.
type SchedulingGates struct{}

func (SchedulingGates) Name() string { return "SchedulingGates" }

func (SchedulingGates) PreEnqueue(pod *framework.Pod) *framework.Status {
	if len(pod.Spec.SchedulingGates) == 0 {
		return nil
	}
	var gates []string
	for _, gate := range pod.Spec.SchedulingGates {
		gates = append(gates, gate.Name)
	}
	return framework.RejectForGood(fmt.Sprintf("waiting for scheduling gates: %v", gates))
}

func (SchedulingGates) Helps(_ *framework.Pod, event framework.Event) bool {
	return event.Is(framework.SelfUngated)
}
