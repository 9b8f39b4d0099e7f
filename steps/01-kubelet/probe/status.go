package probe

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// SetStarted sets Started and Ready of every container status, as the probes
// and their absence say: a container without startup probe has started when it
// runs, one without readiness probe is ready when it has started.
//
// Upstream: prober_manager.go, UpdatePodStatus.
func (m *Manager) SetStarted(pod *corev1.Pod, status *corev1.PodStatus) {
	for i := range status.ContainerStatuses {
		m.setReady(pod, &status.ContainerStatuses[i])
	}
	for i := range status.InitContainerStatuses {
		c := &status.InitContainerStatuses[i]
		if isSidecar(pod, c.Name) {
			m.setReady(pod, c)
			continue
		}
		started := m.hasStarted(pod, c)
		c.Started = &started
		c.Ready = c.State.Terminated != nil && c.State.Terminated.ExitCode == 0 // an init container is ready when it is done
	}
}

func (m *Manager) setReady(pod *corev1.Pod, c *corev1.ContainerStatus) {
	started := m.hasStarted(pod, c)
	c.Started = &started
	c.Ready = started && m.isReady(pod, c)
}

func (m *Manager) hasStarted(pod *corev1.Pod, c *corev1.ContainerStatus) bool {
	if c.State.Running == nil {
		return false
	}
	if r, ok := m.results.get(Startup, c.ContainerID); ok {
		return r == Success
	}
	return m.worker(key{pod.UID, c.Name, Startup}) == nil
}

func (m *Manager) isReady(pod *corev1.Pod, c *corev1.ContainerStatus) bool {
	if r, ok := m.results.get(Readiness, c.ContainerID); ok && r == Success {
		return true
	}
	return m.worker(key{pod.UID, c.Name, Readiness}) == nil
}

// Hurry asks those containers at once that have started and are not ready, so that
// one which has just started need not wait for a whole period. Call it when
// [Config].Status returns that status already, which the workers go by.
func (m *Manager) Hurry(uid types.UID, status *corev1.PodStatus) {
	for _, c := range slices.Concat(status.InitContainerStatuses, status.ContainerStatuses) {
		w := m.worker(key{uid, c.Name, Readiness})
		if w == nil || c.Ready || !started(&c) {
			continue
		}
		select {
		case w.hurry <- struct{}{}:
		default:
		}
	}
}

func isSidecar(pod *corev1.Pod, name string) bool {
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; c.Name == name {
			return sidecar(c)
		}
	}
	return false
}
