package server

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestPodMetrics(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	m := NewPodMetrics(r)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "1234"}}
	started := metav1.NewTime(time.Now().Add(-2 * time.Second))
	status := func(phase corev1.PodPhase, ids ...string) corev1.PodStatus {
		s := corev1.PodStatus{Phase: phase, StartTime: &started}
		for _, id := range ids {
			s.ContainerStatuses = append(s.ContainerStatuses, corev1.ContainerStatus{ContainerID: id})
		}
		return s
	}
	m.Set(pod, status(corev1.PodPending, ""))
	m.Set(pod, status(corev1.PodRunning, "a"))
	m.Set(pod, status(corev1.PodRunning, "a"))
	m.Set(pod, status(corev1.PodRunning, "b")) // restarted
	if got := gather(t, r, "kubelet_pod_start_duration_seconds").GetHistogram(); got.GetSampleCount() != 1 || got.GetSampleSum() < 2 {
		t.Errorf("pod start: got %v", got)
	}
	if got := gather(t, r, "kubelet_started_containers_total").GetCounter().GetValue(); got != 2 {
		t.Errorf("started containers: got %v, want 2", got)
	}
	m.Released(pod)
	if len(m.seen) != 0 {
		t.Error("a pod that is gone is remembered")
	}
}

func gather(t *testing.T, r prometheus.Gatherer, name string) *dto.Metric {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.Metric[0]
		}
	}
	t.Fatalf("no metric %s", name)
	return nil
}
