package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	runtimelabels "k8s.io/kubelet/pkg/types"
)

// pod finds the pod that the path of a request names.
func (s *Server) pod(r *http.Request) (*corev1.Pod, bool) {
	namespace, name, uid := r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("uid")
	for _, p := range s.conf.Kubelet.Pods() {
		if p.Namespace == namespace && p.Name == name && (uid == "" || uid == string(p.UID)) {
			return p, true
		}
	}
	return nil, false
}

// running returns the runtime's id of a container that runs.
func running(pod *corev1.Pod, name string) (id string, err error) {
	c := statusOf(pod, name)
	if c == nil || c.State.Running == nil {
		return "", fmt.Errorf("container not found (%q)", name)
	}
	return withoutScheme(c.ContainerID), nil
}

func statusOf(pod *corev1.Pod, name string) *corev1.ContainerStatus {
	s := &pod.Status
	for _, list := range [][]corev1.ContainerStatus{s.ContainerStatuses, s.InitContainerStatuses, s.EphemeralContainerStatuses} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

// withoutScheme turns groundup://ID into ID.
func withoutScheme(containerID string) string {
	if _, id, ok := strings.Cut(containerID, "://"); ok {
		return id
	}
	return containerID
}

func hasContainer(pod *corev1.Pod, name string) bool {
	for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range list {
			if list[i].Name == name {
				return true
			}
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		if pod.Spec.EphemeralContainers[i].Name == name {
			return true
		}
	}
	return false
}

// sandbox returns the id of the pod's sandbox that is ready.
func (s *Server) sandbox(ctx context.Context, pod *corev1.Pod) (string, error) {
	list, err := s.conf.Runtime.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{Filter: &runtimeapi.PodSandboxFilter{
		State:         &runtimeapi.PodSandboxStateValue{State: runtimeapi.PodSandboxState_SANDBOX_READY},
		LabelSelector: map[string]string{runtimelabels.KubernetesPodUIDLabel: string(pod.UID)},
	}})
	if err != nil {
		return "", err
	}
	if len(list.GetItems()) == 0 {
		return "", fmt.Errorf("pod not found (%q)", pod.Name+"_"+pod.Namespace)
	}
	return list.Items[0].Id, nil
}

// logSource returns the runtime's id of the container whose log is wanted: the
// one that runs, or else the last one that did. Its messages are upstream's.
func logSource(pod *corev1.Pod, name string, previous bool) (id string, err error) {
	c := statusOf(pod, name)
	if c == nil {
		return "", fmt.Errorf("container %q in pod %q is not available", name, pod.Name)
	}
	last := ""
	if t := c.LastTerminationState.Terminated; t != nil {
		last = withoutScheme(t.ContainerID)
	}
	switch terminated, waiting := c.State.Terminated, c.State.Waiting; {
	case previous:
		if last == "" {
			return "", fmt.Errorf("previous terminated container %q in pod %q not found", name, pod.Name)
		}
		return last, nil
	case c.State.Running != nil:
		return withoutScheme(c.ContainerID), nil
	case terminated != nil && terminated.ContainerID != "":
		return withoutScheme(terminated.ContainerID), nil
	case last != "":
		return last, nil
	case terminated != nil:
		return "", fmt.Errorf("container %q in pod %q is terminated", name, pod.Name)
	case waiting != nil:
		return "", fmt.Errorf("container %q in pod %q is waiting to start: %s", name, pod.Name, whyWaiting(waiting.Reason))
	}
	return "", fmt.Errorf("container %q in pod %q is waiting to start - no logs yet", name, pod.Name)
}

func whyWaiting(reason string) string {
	switch reason {
	case "ErrImagePull":
		return "image can't be pulled"
	case "ImagePullBackOff":
		return "trying and failing to pull image"
	}
	return reason
}
