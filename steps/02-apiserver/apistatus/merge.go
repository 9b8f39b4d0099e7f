package apistatus

import (
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
)

// Merge returns the status that a pod should have, of which the API server has
// live and the kubelet says ours. The kubelet's word counts, but for this:
//
//   - Conditions that the kubelet does not own, and the statuses of resource
//     claims, are those of live.
//   - A phase that is final stays, with its reason. A mirror's does not: a static
//     pod is started again under the same name, after a reboot for one.
//   - A phase does not become final while a container runs: whoever waits for the
//     end of the pod may start another one on its volumes.
//
// Upstream: mergePodStatus.
func Merge(live, ours corev1.PodStatus, mirror bool) corev1.PodStatus {
	s := *ours.DeepCopy()
	s.Conditions = nil
	for _, c := range live.Conditions {
		if !owned(c.Type) {
			s.Conditions = append(s.Conditions, c)
		}
	}
	for _, c := range ours.Conditions {
		if owned(c.Type) {
			s.Conditions = append(s.Conditions, c)
		}
	}
	s.ResourceClaimStatuses = live.ResourceClaimStatuses
	s.ExtendedResourceClaimStatus = live.ExtendedResourceClaimStatus
	s.NodeAllocatableResourceClaimStatuses = live.NodeAllocatableResourceClaimStatuses
	s.NominatedNodeName = live.NominatedNodeName
	s.Resize = live.Resize
	if final(live.Phase) && !mirror || final(ours.Phase) && running(ours) {
		s.Phase, s.Reason, s.Message = live.Phase, live.Reason, live.Message
	}
	if final(s.Phase) {
		notReady(&s)
	}
	return s
}

// owned are the conditions that the kubelet decides about alone, as upstream's
// pkg/kubelet/types/pod_status.go lists them.
func owned(t corev1.PodConditionType) bool {
	switch t {
	case corev1.PodScheduled, corev1.PodReady, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReadyToStartContainers,
		corev1.PodResizePending, corev1.PodResizeInProgress:
		return true
	}
	return false
}

func final(p corev1.PodPhase) bool { return p == corev1.PodSucceeded || p == corev1.PodFailed }

func running(s corev1.PodStatus) bool {
	return slices.ContainsFunc(slices.Concat(s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses),
		func(c corev1.ContainerStatus) bool { return c.State.Running != nil })
}

// notReady: nobody should send requests to a pod that has ended, whatever was
// observed of it last.
func notReady(s *corev1.PodStatus) {
	for i := range s.Conditions {
		c := &s.Conditions[i]
		if (c.Type == corev1.PodReady || c.Type == corev1.ContainersReady) && c.Status == corev1.ConditionTrue {
			c.Status, c.Reason, c.LastTransitionTime = corev1.ConditionFalse, "Pod"+string(s.Phase), metav1.Now()
		}
	}
}

// patchFor returns the strategic merge patch that gives the pod this status, or
// nil if it says so already. Times are compared as the API writes them, to the
// second.
func patchFor(pod *corev1.Pod, status corev1.PodStatus) ([]byte, error) {
	before, err := json.Marshal(corev1.Pod{Status: pod.Status})
	if err != nil {
		return nil, fmt.Errorf("encode the status: %w", err)
	}
	after, err := json.Marshal(corev1.Pod{Status: status})
	if err != nil {
		return nil, fmt.Errorf("encode the status: %w", err)
	}
	difference, err := strategicpatch.CreateTwoWayMergePatch(before, after, corev1.Pod{})
	if err != nil || string(difference) == "{}" {
		return nil, err
	}
	patch := map[string]any{}
	if err := json.Unmarshal(difference, &patch); err != nil {
		return nil, fmt.Errorf("patch: %w", err)
	}
	patch["metadata"] = map[string]any{"uid": pod.UID}
	return json.Marshal(patch)
}

// shows reports whether an object of the API stands for a pod of this kubelet: it
// is that pod, or its mirror.
func shows(object, pod *corev1.Pod) bool {
	if !podsource.IsStatic(pod) {
		return object.UID == pod.UID
	}
	return object.Annotations[corev1.MirrorPodAnnotationKey] == string(pod.UID)
}
