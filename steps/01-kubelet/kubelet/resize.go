package kubelet

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/resize"
)

// grant returns the pod with the resources that it may have now, and why it can't
// have what it asks for.
func (k *Kubelet) grant(w *worker, pod *corev1.Pod) (*corev1.Pod, *corev1.PodCondition) {
	status, known := k.PodStatus(pod.UID)
	if !known {
		status = pod.Status
	}
	k.mu.Lock()
	last, waited := w.granted, w.pending
	granted, pending := resize.Grant(pod, last, status, func(pod *corev1.Pod) (reason, message string) { return k.refuse(w, pod) })
	w.granted, w.pending = granted, pending
	k.mu.Unlock()
	switch {
	case pending != nil && (waited == nil || waited.Reason != pending.Reason || waited.Message != pending.Message):
		k.event(pod, nil, corev1.EventTypeWarning, "Resize"+pending.Reason, resizeMessage(pending.Reason, pod, pending.Message))
	case last != nil && resize.Differ(last, granted):
		k.event(pod, nil, corev1.EventTypeNormal, "ResizeStarted", resizeMessage("started", granted, ""))
		w.resized = true
	}
	return granted, pending
}

// resizeMessage says what the containers are to have, as upstream's pkg/kubelet/events does.
func resizeMessage(what string, pod *corev1.Pod, problem string) string {
	type container struct {
		Name      string                      `json:"name"`
		Resources corev1.ResourceRequirements `json:"resources"`
	}
	var said struct {
		InitContainers []container `json:"initContainers,omitempty"`
		Containers     []container `json:"containers,omitempty"`
		Generation     int64       `json:"generation"`
		Error          string      `json:"error,omitempty"`
	}
	for _, c := range pod.Spec.InitContainers {
		said.InitContainers = append(said.InitContainers, container{c.Name, c.Resources})
	}
	for _, c := range pod.Spec.Containers {
		said.Containers = append(said.Containers, container{c.Name, c.Resources})
	}
	said.Generation, said.Error = pod.Generation, problem
	text, err := json.Marshal(said)
	if err != nil {
		return "Pod resize " + what
	}
	return fmt.Sprintf("Pod resize %s: %s", what, text)
}

// refuse says why a pod that runs can't be larger: there will never be room for it, or
// there is none now. The caller holds mu.
func (k *Kubelet) refuse(w *worker, pod *corev1.Pod) (reason, message string) {
	if k.Admit == nil {
		return "", ""
	}
	if r := k.Admit(pod, nil); r != nil {
		return corev1.PodReasonInfeasible, r.Message
	}
	var others []*corev1.Pod
	for _, other := range k.workers {
		if other != w && other.admitted && other.alive {
			others = append(others, other.held())
		}
	}
	if r := k.Admit(pod, others); r != nil {
		return corev1.PodReasonDeferred, r.Message
	}
	return "", ""
}

// held is the pod with what it has of the node. The caller holds Kubelet.mu.
func (w *worker) held() *corev1.Pod {
	if w.granted != nil {
		return w.granted
	}
	return w.pod
}

// resize brings the cgroups of the pod and of its containers up to date: first
// what shrinks, then the pod around it, then what grows. A container that can't be changed
// is tried again, and keeps nothing else from going on. The result is the pod's cgroup.
func (k *Kubelet) resize(ctx context.Context, w *worker, pod *corev1.Pod, a actions) (parent string, err error) {
	w.resizing = nil
	for _, c := range a.Resize {
		if low := c.Have.Lower(c.Want); low != c.Have {
			w.keep(k.update(ctx, c, low))
		}
	}
	if w.resizing != nil {
		return k.Cgroups.Path(pod), nil // around what is still larger the pod's must not be smaller
	}
	if parent, err = k.Cgroups.Apply(pod); err != nil {
		return "", fmt.Errorf("make the pod's cgroup: %w", err)
	}
	for _, c := range a.Resize {
		if c.Have.Lower(c.Want) != c.Want {
			w.keep(k.update(ctx, c, c.Want))
		}
	}
	if (len(a.Resize) > 0 || w.resized && len(a.Kill) == 0) && w.resizing == nil {
		k.event(pod, nil, corev1.EventTypeNormal, "ResizeCompleted", resizeMessage("completed", pod, ""))
		w.resized = false
	}
	return parent, nil
}

// keep remembers the first error.
func (w *worker) keep(err error) {
	if w.resizing == nil {
		w.resizing = err
	}
}

// update sets a container's cgroup. Memory that is in use is not taken away: the
// kernel would kill for it.
func (k *Kubelet) update(ctx context.Context, c resize.Change, to resize.Cgroup) error {
	if to.Memory > 0 && (c.Have.Memory == 0 || to.Memory < c.Have.Memory) {
		stats, err := k.Runtime.ContainerStats(ctx, &runtimeapi.ContainerStatsRequest{ContainerId: c.Container.ID})
		if err != nil {
			return fmt.Errorf("memory of container %s: %w", c.Spec.Name, err)
		}
		if used := stats.GetStats().GetMemory().GetUsageBytes().GetValue(); used >= uint64(to.Memory) {
			return fmt.Errorf("container %s: attempting to set memory limit (%d) below current usage (%d)", c.Spec.Name, to.Memory, used)
		}
	}
	_, err := k.Runtime.UpdateContainerResources(ctx, &runtimeapi.UpdateContainerResourcesRequest{ContainerId: c.Container.ID, Linux: to.Linux()})
	if err != nil {
		return fmt.Errorf("resize container %s: %w", c.Spec.Name, err)
	}
	return nil
}
