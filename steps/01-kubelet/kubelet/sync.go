package kubelet

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/event"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/observed"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podstatus"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/probe"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/resize"
)

// sync brings a pod that should run one step further: observe, decide, act,
// report. Again is when something will be due, such as the end of a back-off.
func (k *Kubelet) sync(ctx context.Context, w *worker, pod *corev1.Pod) (again time.Duration, err error) {
	if p := pod.Status.Phase; p == corev1.PodFailed || p == corev1.PodSucceeded {
		k.order(w, ending{}) // it has ended under an earlier kubelet, and needs no place any more
		return 0, nil
	}
	if refused := k.admit(ctx, w, pod); refused != nil {
		k.order(w, ending{failed: podstatus.Failure{Reason: refused.Reason, Message: "Pod was rejected: " + refused.Message, Refused: true}})
		return 0, nil
	}
	pod, pending := k.grant(w, pod)
	o, err := observed.Read(ctx, k.Runtime, pod.UID)
	if err != nil {
		return 0, err
	}
	status := k.report(w, pod, o, ending{}, pending)
	a := decide(pod, o, k.results)
	a.decideResize(resize.Plan(k.Node, pod, o))
	k.Log.Debug("decided", "pod", w.name, "actions", a)
	left := deadline(pod, status)
	switch {
	case left <= 0:
		const message = "Pod was active on the node longer than the specified deadline"
		k.event(pod, nil, corev1.EventTypeNormal, "DeadlineExceeded", message)
		k.order(w, ending{failed: podstatus.Failure{Reason: "DeadlineExceeded", Message: message}})
		return 0, nil
	case a.End, status.Phase == corev1.PodFailed, status.Phase == corev1.PodSucceeded:
		k.order(w, ending{})
		return 0, nil
	}
	again, err = k.act(ctx, w, pod, o, a)
	if a.none() {
		return min(again, left), err // what was observed still holds
	}
	after, readErr := observed.Read(ctx, k.Runtime, pod.UID)
	if readErr == nil {
		k.report(w, pod, after, ending{}, pending)
	}
	if err == nil {
		err = readErr
	}
	return min(again, left), err
}

// results is what the probes say of a container with the runtime's plain ID;
// probes know containers by the ID in the pod's status.
func (k *Kubelet) results(kind probe.Kind, id string) (probe.Result, bool) {
	return k.Probes.Result(kind, k.runtimeName+"://"+id)
}

// admit asks once whether the pod may run here. A pod that runs already, because
// an earlier kubelet admitted it, is not asked again.
func (k *Kubelet) admit(ctx context.Context, w *worker, pod *corev1.Pod) *criconfig.Rejection {
	refused, first := k.misplaced(ctx, w, pod), false
	if refused == nil {
		refused, first = k.claim(w, pod)
	}
	switch {
	case refused != nil:
		k.event(pod, nil, corev1.EventTypeWarning, refused.Reason, refused.Message)
	case first && k.Warn != nil:
		if ignored := k.Warn(pod); ignored != "" {
			k.event(pod, nil, corev1.EventTypeWarning, "FieldsNotHonoured", ignored)
		}
	}
	return refused
}

// misplaced says why a pod that is not here yet has no business here. It is asked
// outside the lock: somebody may have to be asked in turn.
func (k *Kubelet) misplaced(ctx context.Context, w *worker, pod *corev1.Pod) *criconfig.Rejection {
	k.mu.Lock()
	admitted := w.admitted
	k.mu.Unlock()
	if admitted || k.Misplaced == nil {
		return nil
	}
	return k.Misplaced(ctx, pod)
}

// claim takes the pod's share of the node, or says why it can't have it. Under
// the lock, so that of two pods which fit only one by one, one is let in.
func (k *Kubelet) claim(w *worker, pod *corev1.Pod) (refused *criconfig.Rejection, first bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if w.admitted {
		return nil, false
	}
	var others []*corev1.Pod
	for _, other := range k.workers {
		if other.admitted && other.alive {
			others = append(others, other.held())
		}
	}
	if k.Admit != nil {
		refused = k.Admit(pod, others)
	}
	w.admitted = refused == nil
	return refused, true
}

// order tells a worker, on its own behalf, to stop its pod.
func (k *Kubelet) order(w *worker, e ending) {
	k.mu.Lock()
	defer k.mu.Unlock()
	w.stop(e)
}

// deadline returns how long the pod may still be active: activeDeadlineSeconds
// from its start, or a long time.
func deadline(pod *corev1.Pod, status corev1.PodStatus) time.Duration {
	if pod.Spec.ActiveDeadlineSeconds == nil {
		return 24 * time.Hour
	}
	limit := time.Duration(*pod.Spec.ActiveDeadlineSeconds) * time.Second
	return limit - time.Since(status.StartTime.Time)
}

// report computes the pod's status, keeps it, and tells the sink if it changed.
// Pending is the condition of a resize that was not granted, or nil.
func (k *Kubelet) report(w *worker, pod *corev1.Pod, o *observed.Pod, e ending, pending *corev1.PodCondition) corev1.PodStatus {
	previous, known := k.PodStatus(pod.UID)
	if !known {
		previous = pod.Status
	}
	in := podstatus.Input{
		Pod: pod, Observed: o, Previous: previous, Waiting: w.waiting, Stopped: w.stopped, Failed: e.failed,
		SetStarted: k.Probes.SetStarted, Runtime: k.runtimeName, Now: time.Now(),
	}
	plan := resize.Plan(k.Node, pod, o)
	in.Resources = resize.Actual(plan)
	for _, c := range []*corev1.PodCondition{pending, resize.Progress(plan, w.resizing)} {
		if c != nil {
			in.Resize = append(in.Resize, *c)
		}
	}
	for _, ip := range k.Node.IPs {
		in.HostIPs = append(in.HostIPs, ip.String())
	}
	status := podstatus.Compute(in)
	k.mu.Lock()
	w.status = status
	k.mu.Unlock()
	k.Probes.Hurry(pod.UID, &status)
	if !known || !podstatus.Equal(previous, status) {
		k.Status.Set(pod, status)
	}
	return status
}

// event records something that happened to the pod, or to one container of it.
func (k *Kubelet) event(pod *corev1.Pod, c *corev1.Container, kind, reason, message string) {
	e := event.Event{Time: time.Now(), Pod: pod, Namespace: pod.Namespace, Name: pod.Name, Type: kind, Reason: reason, Message: message}
	if c != nil {
		e.Container = c.Name
	}
	k.Events.Record(e)
}
