package podstatus

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/observed"
)

// decidePhase sets phase, reason and message. A pod that has ended stays ended.
func decidePhase(in Input, s *corev1.PodStatus) {
	s.Phase = phase(in.Pod, *s, in.Stopped, Initialized(in.Pod, in.Observed))
	switch {
	case in.Failed.Reason != "":
		s.Phase, s.Reason, s.Message = corev1.PodFailed, in.Failed.Reason, in.Failed.Message
	case ended(in.Previous.Phase):
		s.Phase = in.Previous.Phase
		s.Reason, s.Message = in.Previous.Reason, in.Previous.Message
	case in.Stopped && !ended(s.Phase):
		s.Phase = corev1.PodFailed // nobody can say that it succeeded, and it will not go on
	case s.Phase == in.Previous.Phase:
		s.Reason, s.Message = in.Previous.Reason, in.Previous.Message
	}
}

func ended(p corev1.PodPhase) bool { return p == corev1.PodFailed || p == corev1.PodSucceeded }

// A census counts the containers of a pod by what became of them.
type census struct {
	initializing int // init containers that have not done their work, sidecars that have not started
	initFailed   int // and will not run again
	waiting      int // never ran
	running      int
	stopped      int // ran, and may run again
	final        int // of the stopped: will not run again
	succeeded    int // of the stopped: exit code 0
}

// phase is the sum of the container statuses in one word. It follows getPhase
// in upstream's kubelet_pods.go.
func phase(pod *corev1.Pod, s corev1.PodStatus, stopped, initialized bool) corev1.PodPhase {
	n := count(pod, s, initialized)
	switch {
	case n.initFailed > 0:
		return corev1.PodFailed
	case n.initializing > 0, n.waiting > 0:
		return corev1.PodPending
	case n.running > 0:
		return corev1.PodRunning
	case n.stopped == 0:
		return corev1.PodPending
	case !stopped && n.final < n.stopped:
		return corev1.PodRunning // on the way to be restarted
	case n.succeeded == n.stopped:
		return corev1.PodSucceeded
	}
	return corev1.PodFailed
}

func count(pod *corev1.Pod, s corev1.PodStatus, initialized bool) census {
	var n census
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		if IsSidecar(c) {
			n.sidecar(s.InitContainerStatuses[i], initialized)
		} else {
			n.init(pod, c, s.InitContainerStatuses[i])
		}
	}
	for i := range pod.Spec.Containers {
		n.app(pod, &pod.Spec.Containers[i], s.ContainerStatuses[i])
	}
	return n
}

func (n *census) init(pod *corev1.Pod, c *corev1.Container, s corev1.ContainerStatus) {
	end := lastEnd(s)
	switch {
	case end == nil:
		n.initializing++
	case end.ExitCode != 0 && !RestartsAfter(pod, c, end.ExitCode):
		n.initFailed++
	case end.ExitCode != 0:
		n.initializing++
	}
}

// sidecar: one that stopped does not count, for it is restarted as long as the
// pod lives and means nothing when the pod has ended.
func (n *census) sidecar(s corev1.ContainerStatus, initialized bool) {
	started := s.Started != nil && *s.Started
	if s.State.Running != nil {
		n.running++
	}
	if lastEnd(s) == nil && !started && !initialized {
		n.initializing++
	}
}

func (n *census) app(pod *corev1.Pod, c *corev1.Container, s corev1.ContainerStatus) {
	end := lastEnd(s)
	switch {
	case s.State.Running != nil:
		n.running++
	case end == nil:
		n.waiting++
	default:
		n.stopped++
		if end.ExitCode == 0 {
			n.succeeded++
		}
		if !RestartsAfter(pod, c, end.ExitCode) {
			n.final++
		}
	}
}

// lastEnd is how a container that is not running ended last, or nil.
func lastEnd(s corev1.ContainerStatus) *corev1.ContainerStateTerminated {
	switch {
	case s.State.Running != nil:
		return nil
	case s.State.Terminated != nil:
		return s.State.Terminated
	}
	return s.LastTerminationState.Terminated
}

// NeedsSandbox says why the pod's sandbox can't be used, or "".
func NeedsSandbox(o *observed.Pod) string {
	ready := 0
	for _, s := range o.Sandboxes {
		if s.Ready {
			ready++
		}
	}
	switch {
	case len(o.Sandboxes) == 0:
		return "no pod sandbox exists"
	case ready > 1:
		return "multiple pod sandboxes are ready and need to be reconciled"
	case !o.Sandbox().Ready:
		return "pod sandbox is not ready"
	}
	return ""
}
