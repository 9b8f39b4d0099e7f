package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/decide"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/preempt"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/queue"
)

// noNodes stands in RejectedBy for what no plugin has said: anything that happens
// could help.
const noNodes = "no nodes"

// reject makes room for a pod that has found none, if that is possible, tells why,
// and lets it wait.
func (s *Scheduler) reject(ctx context.Context, item *queue.Item, profile *Profile, d *decide.Decision, begin time.Time) {
	var fit *decide.FitError
	var by []string
	var plan preempt.Plan
	result, reason := "unschedulable", corev1.PodReasonUnschedulable
	switch {
	case errors.As(d.Err, &fit):
		plan, by = s.preempt(profile, d, fit), fit.Plugins()
	case errors.Is(d.Err, decide.ErrNoNodes):
		by = []string{noNodes}
	default:
		result, reason = "error", corev1.PodReasonSchedulerError
		s.Log.Error("decide about a pod", "pod", item.Pod.Namespace+"/"+item.Pod.Name, "err", d.Err)
	}
	s.Observer.Decided(d, time.Since(begin))
	s.Observer.Attempted(profile.Name, result, item, time.Since(begin))
	var nominated *string
	if !plan.Keep {
		s.cache.Nominate(item.Pod, plan.Node)
		if plan.Node != item.Pod.Status.NominatedNodeName || plan.Node != d.Pod.Status.NominatedNodeName {
			nominated = &plan.Node
		}
	}
	s.writers.do(func() {
		if err := s.evict(ctx, item.Pod, profile, plan); err != nil {
			s.Log.Warn("make room", "for", item.Pod.Namespace+"/"+item.Pod.Name, "err", err)
			by = nil // no victim's end will wake this pod
		}
		s.tell(ctx, item.Pod, profile, reason, d.Err, nominated)
		if waits := s.giveBack(item, by); !waits {
			s.cache.Denominate(item.Pod.UID) // it went before it was nominated
		}
	})
}

// giveBack lets a pod wait for something that helps these plugins, or, if there are
// none, for its next turn. waits is false if it is gone.
func (s *Scheduler) giveBack(item *queue.Item, by []string) (waits bool) {
	if len(by) == 0 {
		return s.queue.Fail(item)
	}
	return s.queue.Reject(item, by)
}

// tell writes into a pod's status, and as an event, why it has no node. nominated,
// unless nil, is the node that it waits for now.
func (s *Scheduler) tell(ctx context.Context, pod *framework.Pod, profile *Profile, reason string, why error, nominated *string) {
	profile.Recorder.Eventf(pod.Pod, nil, corev1.EventTypeWarning, "FailedScheduling", "Scheduling", "%s", shortened(why.Error()))
	patch := statusPatch{}
	if nominated != nil {
		patch["nominatedNodeName"] = *nominated
	}
	patch.set(pod.Pod, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: reason, Message: why.Error()})
	if err := s.patch(ctx, pod.Pod, patch); err != nil {
		s.Log.Warn("tell why a pod has no node", "pod", pod.Namespace+"/"+pod.Name, "err", err)
	}
}

// shortened is what fits into an event's note.
func shortened(message string) string {
	const most, rest = 1024, " ..."
	if len(message) <= most {
		return message
	}
	return message[:most-len(rest)] + rest
}

// A statusPatch is a strategic merge patch of a pod's status: of the conditions
// only those that it names.
type statusPatch map[string]any

// set sets a condition, unless the pod has it already.
func (p statusPatch) set(pod *corev1.Pod, c corev1.PodCondition) {
	c.LastTransitionTime = metav1.Now()
	c.ObservedGeneration = pod.Generation
	for _, before := range pod.Status.Conditions {
		if before.Type != c.Type {
			continue
		}
		if before.Status == c.Status {
			c.LastTransitionTime = before.LastTransitionTime
		}
		if before.Status == c.Status && before.Reason == c.Reason && before.Message == c.Message {
			return
		}
	}
	p["conditions"] = []corev1.PodCondition{c}
}

// patch changes the status of a pod, if there is anything to change. That the pod is
// gone is no error: nobody would read it.
func (s *Scheduler) patch(ctx context.Context, pod *corev1.Pod, status statusPatch) error {
	if len(status) == 0 {
		return nil
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": status})
	if err != nil {
		return err
	}
	_, err = s.Client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, body, metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
