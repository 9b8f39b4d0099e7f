package podstatus

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The conditions that a kubelet owns, in the order in which kubectl describe
// shows them. Others, such as readiness gates, belong to somebody else.
var owned = []corev1.PodConditionType{
	corev1.PodResizePending, corev1.PodResizeInProgress,
	corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled,
}

// conditions returns the pod's conditions: first those of others, as they are,
// then the kubelet's.
func conditions(in Input, s corev1.PodStatus) []corev1.PodCondition {
	var all []corev1.PodCondition
	for _, c := range in.Pod.Status.Conditions {
		if !isOwned(c.Type) {
			all = append(all, c)
		}
	}
	containersReady := containersReady(in.Pod, s)
	for _, c := range append(slices.Clone(in.Resize),
		readyToStart(in),
		initialized(in, s),
		podReady(in.Pod, containersReady, all),
		containersReady,
		corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
	) {
		c.ObservedGeneration = in.Pod.Generation
		c.LastTransitionTime = metav1.NewTime(in.Now)
		if old := condition(in.Previous.Conditions, c.Type); old != nil && old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
		all = append(all, c)
	}
	return all
}

func isOwned(t corev1.PodConditionType) bool {
	for _, o := range owned {
		if o == t {
			return true
		}
	}
	return false
}

func readyToStart(in Input) corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue}
	if why := NeedsSandbox(in.Observed); why != "" {
		c.Status, c.Reason, c.Message = corev1.ConditionFalse, "PodSandboxNotReady", why
	}
	return c
}

// initialized: a pod that was initialized stays it, even if its sidecars end before its app
// containers have begun, or all begins anew in another sandbox.
func initialized(in Input, s corev1.PodStatus) corev1.PodCondition {
	pod := in.Pod
	c := corev1.PodCondition{Type: corev1.PodInitialized, Status: corev1.ConditionTrue}
	if s.Phase == corev1.PodSucceeded {
		c.Reason = "PodCompleted"
		return c
	}
	old := condition(in.Previous.Conditions, corev1.PodInitialized)
	if Initialized(pod, in.Observed) || old != nil && old.Status == corev1.ConditionTrue {
		return c
	}
	var missing []string
	for i, status := range s.InitContainerStatuses {
		done := status.Ready
		if IsSidecar(&pod.Spec.InitContainers[i]) {
			done = status.Started != nil && *status.Started
		}
		if !done {
			missing = append(missing, status.Name)
		}
	}
	if missing != nil {
		c.Status, c.Reason = corev1.ConditionFalse, "ContainersNotInitialized"
		c.Message = fmt.Sprintf("containers with incomplete status: %s", missing)
	}
	return c
}

func containersReady(pod *corev1.Pod, s corev1.PodStatus) corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionFalse}
	switch s.Phase {
	case corev1.PodSucceeded:
		c.Reason = "PodCompleted"
		return c
	case corev1.PodFailed:
		c.Reason = "PodFailed"
		return c
	}
	var unready []string
	for i, status := range s.InitContainerStatuses {
		if IsSidecar(&pod.Spec.InitContainers[i]) && !status.Ready {
			unready = append(unready, status.Name)
		}
	}
	for _, status := range s.ContainerStatuses {
		if !status.Ready {
			unready = append(unready, status.Name)
		}
	}
	if unready != nil {
		c.Reason, c.Message = "ContainersNotReady", fmt.Sprintf("containers with unready status: %s", unready)
		return c
	}
	c.Status = corev1.ConditionTrue
	return c
}

// podReady is ContainersReady and every readiness gate.
func podReady(pod *corev1.Pod, containers corev1.PodCondition, others []corev1.PodCondition) corev1.PodCondition {
	c := containers
	c.Type = corev1.PodReady
	if c.Status != corev1.ConditionTrue {
		return c
	}
	var closed []string
	for _, gate := range pod.Spec.ReadinessGates {
		switch got := condition(others, gate.ConditionType); {
		case got == nil:
			closed = append(closed, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", gate.ConditionType))
		case got.Status != corev1.ConditionTrue:
			closed = append(closed, fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %v", gate.ConditionType, got.Status))
		}
	}
	if closed != nil {
		c.Status, c.Reason, c.Message = corev1.ConditionFalse, "ReadinessGatesNotReady", strings.Join(closed, ", ")
	}
	return c
}
