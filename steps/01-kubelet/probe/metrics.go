package probe

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
)

// metrics are those of /metrics/probes, by upstream's names.
type metrics struct {
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "prober_probe_total",
			Help: "Cumulative number of a liveness, readiness or startup probe for a container by result.",
		}, []string{"probe_type", "result", "container", "pod", "namespace", "pod_uid"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "prober_probe_duration_seconds",
			Help: "Duration in seconds for a probe response.",
		}, []string{"probe_type", "container", "pod", "namespace"}),
	}
	if r != nil {
		r.MustRegister(m.total, m.duration)
	}
	return m
}

func (m metrics) observe(k key, pod *corev1.Pod, a answer, took time.Duration) {
	result := map[Result]string{Success: "successful", Failure: "failed", Unknown: "unknown"}[a.result]
	m.total.WithLabelValues(string(k.kind), result, k.container, pod.Name, pod.Namespace, string(k.pod)).Inc()
	if a.result == Success {
		m.duration.WithLabelValues(string(k.kind), k.container, pod.Name, pod.Namespace).Observe(took.Seconds())
	}
}

// drop forgets a worker that has ended, or the series of pods long gone would
// be kept for ever.
func (m metrics) drop(k key) {
	m.total.DeletePartialMatch(prometheus.Labels{"probe_type": string(k.kind), "container": k.container, "pod_uid": string(k.pod)})
}
