package plugins

import "github.com/k8s-groundup/groundup/steps/03-scheduler/framework"

// PrioritySort puts waiting pods in order: higher priority first, and among
// equals who has waited longer.
type PrioritySort struct{}

func (PrioritySort) Name() string { return "PrioritySort" }

func (PrioritySort) Less(a, b framework.Queued) bool {
	if a.Pod.Priority != b.Pod.Priority {
		return a.Pod.Priority > b.Pod.Priority
	}
	return a.Since.Before(b.Since)
}
