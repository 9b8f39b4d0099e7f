package scheduler

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/decide"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/preempt"
)

// preempt looks for pods that have to go so that this one finds room, and says so in
// the error.
func (s *Scheduler) preempt(profile *Profile, d *decide.Decision, fit *decide.FitError) preempt.Plan {
	if profile.Preemption == nil {
		return preempt.Plan{}
	}
	options := *profile.Preemption
	begin, code := time.Now(), framework.Success
	options.Rand, options.Now, options.Budgets = s.from.Rand, begin, s.Lists.Budgets()
	plan := preempt.Preempt(&s.snapshot, d, options)
	if plan.Node == "" {
		code = framework.Unschedulable
	}
	s.Observer.Ran(profile.Name, "PostFilter", code, time.Since(begin))
	fit.Preemption = plan.Message
	s.Observer.Preempted(len(plan.Victims))
	for _, other := range plan.Displaced {
		s.cache.Denominate(other.UID)
	}
	return plan
}

// nominated returns the pod with the node that it waits for, of which the watch may not
// have told yet. Without it, the end of its first victim would let it look for others.
func (s *Scheduler) nominated(pod *framework.Pod) *framework.Pod {
	node := s.cache.Nomination(pod.UID)
	if node == "" || node == pod.Status.NominatedNodeName {
		return pod
	}
	object := *pod.Pod
	object.Status.NominatedNodeName = node
	nominated := *pod
	nominated.Pod = &object
	return &nominated
}

// evict carries a plan out: the victims are told why they end, and have the time
// that they asked for. Who was to take their place looks for another one. It ends
// with the first victim that can't be ended: there will be no room then, and nobody
// else has to go.
func (s *Scheduler) evict(ctx context.Context, preemptor *framework.Pod, profile *Profile, plan preempt.Plan) error {
	for _, other := range plan.Displaced {
		if err := s.patch(ctx, other.Pod, statusPatch{"nominatedNodeName": ""}); err != nil {
			s.Log.Warn("take a nomination back", "pod", other.Namespace+"/"+other.Name, "err", err)
		}
	}
	for _, victim := range plan.Victims {
		if victim.Terminating() {
			continue
		}
		if err := s.end(ctx, victim.Pod, profile); err != nil {
			return fmt.Errorf("preempt pod %s/%s: %w", victim.Namespace, victim.Name, err)
		}
		s.cache.Evict(victim.UID)
		profile.Recorder.Eventf(victim.Pod, preemptor.Pod, corev1.EventTypeNormal, "Preempted", "Preempting", "Preempted by pod %v on node %v", preemptor.UID, plan.Node)
	}
	return nil
}

// end deletes a victim. That it has gone by itself is as good.
func (s *Scheduler) end(ctx context.Context, victim *corev1.Pod, profile *Profile) error {
	patch := statusPatch{}
	patch.set(victim, corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: corev1.PodReasonPreemptionByScheduler,
		Message: profile.Name + ": preempting to accommodate a higher priority pod"})
	if err := s.patch(ctx, victim, patch); err != nil {
		return err
	}
	err := s.Client.CoreV1().Pods(victim.Namespace).Delete(ctx, victim.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(victim.UID))})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // it is another pod of this name
		return nil
	}
	return err
}
