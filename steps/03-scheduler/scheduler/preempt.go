package scheduler

import (
	"context"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/decide"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
)

// Preemption finds pods of lower priority that could make room.
type Preemption interface {
	framework.Plugin
}

func (s *Scheduler) preempt(profile *Profile, d *decide.Decision, fit *decide.FitError) (node string, act func(context.Context)) {
	return "", func(context.Context) {}
}
