package scheduler

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/queue"
)

// bind writes the one field.
func (s *Scheduler) bind(ctx context.Context, item *queue.Item, profile *Profile, node string, begin time.Time) {
	pod := item.Pod
	posted := time.Now()
	err := s.insist(ctx, pod, node)
	took := time.Since(posted)
	if err == nil {
		s.Observer.Ran(profile.Name, "Bind", framework.Success, took)
		s.queue.Done(item)
		s.Observer.Attempted(profile.Name, "scheduled", item, time.Since(begin))
		profile.Recorder.Eventf(pod.Pod, nil, corev1.EventTypeNormal, "Scheduled", "Binding", "Successfully assigned %v/%v to %v", pod.Namespace, pod.Name, node)
		return
	}
	if ctx.Err() != nil {
		return // nobody knows, and nobody is here to ask again
	}
	s.Observer.Ran(profile.Name, "Bind", framework.Error, took)
	if assumed := s.cache.Forget(pod.UID); assumed != nil {
		s.happened(framework.Event{Action: framework.PodRemoved, OldPod: assumed})
	}
	s.Observer.Attempted(profile.Name, "error", item, time.Since(begin))
	if apierrors.IsNotFound(err) { // it has been deleted in the meantime
		s.queue.Done(item)
		return
	}
	s.tell(ctx, pod, profile, corev1.PodReasonSchedulerError, fmt.Errorf("running Bind plugin %q: %w", "DefaultBinder", err), new(string))
	s.queue.Fail(item)
}

// insist posts the binding until it is known whether the pod is bound: after a
// timeout or an error of the server the pod may have its node or not. To ask for the
// same again does no harm.
func (s *Scheduler) insist(ctx context.Context, pod *framework.Pod, node string) error {
	const longest = 2 * time.Second
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, longest) {
		err := s.post(ctx, pod, node)
		if isAnswer(err) {
			return s.orOurs(ctx, pod, node, err)
		}
		s.Log.Info("a bind is asked for again", "pod", pod.Namespace+"/"+pod.Name, "node", node, "err", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// bindTimeout bounds one request.
const bindTimeout = 10 * time.Second

func (s *Scheduler) post(ctx context.Context, pod *framework.Pod, node string) error {
	ctx, cancel := context.WithTimeout(ctx, bindTimeout)
	defer cancel()
	// Pods.Bind is the same, but spends a quarter of its time on its empty options.
	binding := corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: node},
	}
	return s.Client.CoreV1().RESTClient().Post().Namespace(pod.Namespace).Resource("pods").Name(pod.Name).SubResource("binding").
		Body(&binding).Do(ctx).Error()
}

// isAnswer says whether the server has decided: yes, or no because of what was asked.
func isAnswer(err error) bool {
	var status apierrors.APIStatus
	if err == nil || !errors.As(err, &status) {
		return err == nil
	}
	code := status.Status().Code
	return code >= 400 && code < 500 && code != http.StatusRequestTimeout && code != http.StatusTooManyRequests
}

// orOurs makes a success of the conflict with a bind of our own whose answer was lost.
func (s *Scheduler) orOurs(ctx context.Context, pod *framework.Pod, node string, err error) error {
	if !apierrors.IsConflict(err) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, bindTimeout)
	defer cancel()
	now, failed := s.Client.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
	if failed == nil && now.UID == pod.UID && now.Spec.NodeName == node {
		return nil
	}
	return err
}
