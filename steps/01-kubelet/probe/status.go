package probe

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// SetStarted sets Started and Ready of every container status, as the probes
// and their absence say: a container without startup probe has started when it
// runs, one without readiness probe is ready when it has started. What the status
// says already stays until the container was probed: a kubelet that is started again
// makes nobody unready whom its predecessor found ready, nor the other way round.
//
// Upstream: prober_manager.go, UpdatePodStatus.
func (m *Manager) SetStarted(pod *corev1.Pod, status *corev1.PodStatus) {
	for i := range status.ContainerStatuses {
		c := &status.ContainerStatuses[i]
		m.setReady(specOf(pod.Spec.Containers, c.Name), c)
	}
	for i := range status.InitContainerStatuses {
		c := &status.InitContainerStatuses[i]
		spec := specOf(pod.Spec.InitContainers, c.Name)
		if sidecar(spec) {
			m.setReady(spec, c)
			continue
		}
		started := c.State.Running != nil
		c.Started = &started
		c.Ready = c.State.Terminated != nil && c.State.Terminated.ExitCode == 0 // an init container is ready when it is done
	}
}

func (m *Manager) setReady(spec *corev1.Container, c *corev1.ContainerStatus) {
	running := c.State.Running != nil
	// Of one that outlived a kubelet and has no status, as of a static pod: it has
	// started, rather than being killed for what it does only once.
	before := started(c) || running && c.Started == nil && c.State.Running.StartedAt.Time.Before(m.conf.Started)
	isStarted := running && m.holds(Startup, c, spec.StartupProbe, before)
	c.Ready = isStarted && m.holds(Readiness, c, spec.ReadinessProbe, c.Ready)
	c.Started = &isStarted
}

// holds is what a container's probe has established, if there is a probe, and what
// held before it was asked.
func (m *Manager) holds(kind Kind, c *corev1.ContainerStatus, spec *corev1.Probe, before bool) bool {
	if spec == nil {
		return true
	}
	if r, ok := m.results.get(kind, c.ContainerID); ok {
		return r == Success
	}
	return before
}

func specOf(all []corev1.Container, name string) *corev1.Container {
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return &corev1.Container{} // of a status that is older than the spec
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
