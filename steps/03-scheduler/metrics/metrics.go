// Package metrics counts what the scheduler does, under the names that upstream's
// has, so that dashboards and alerts made for it show ours.
//
// Upstream: pkg/scheduler/metrics/metrics.go.
package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/queue"
)

// Metrics count. Make them with [New].
type Metrics struct {
	registry *prometheus.Registry

	attempts *prometheus.CounterVec
	duration *prometheus.HistogramVec
	sli      *prometheus.HistogramVec
	tries    prometheus.Histogram
	preempts prometheus.Counter
	victims  prometheus.Histogram
}

// New returns metrics of nothing yet, and of the process. pending tells how many
// pods wait.
func New(pending func() queue.Count) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "scheduler_schedule_attempts_total",
			Help: "Number of attempts to schedule pods, by the result. 'unschedulable' means a pod could not be scheduled, while 'error' means an internal scheduler problem."},
			[]string{"result", "profile"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "scheduler_scheduling_attempt_duration_seconds",
			Help: "Scheduling attempt latency in seconds (scheduling algorithm + binding)", Buckets: prometheus.ExponentialBuckets(0.001, 2, 15)},
			[]string{"result", "profile"}),
		sli: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "scheduler_pod_scheduling_sli_duration_seconds",
			Help:    "E2e latency for a pod being scheduled, from the time the pod enters the scheduling queue and might involve multiple scheduling attempts.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 20)},
			[]string{"attempts"}),
		tries: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "scheduler_pod_scheduling_attempts",
			Help: "Number of attempts to successfully schedule a pod.", Buckets: prometheus.ExponentialBuckets(1, 2, 5)}),
		preempts: prometheus.NewCounter(prometheus.CounterOpts{Name: "scheduler_preemption_attempts_total",
			Help: "Total preemption attempts in the cluster till now"}),
		victims: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "scheduler_preemption_victims",
			Help: "Number of selected preemption victims", Buckets: prometheus.ExponentialBuckets(1, 2, 7)}),
	}
	m.registry.MustRegister(m.attempts, m.duration, m.sli, m.tries, m.preempts, m.victims, waiting(pending),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler answers with all metrics in the text format of Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Attempted counts an attempt at a pod.
func (m *Metrics) Attempted(profile, result string, item *queue.Item, took time.Duration) {
	m.attempts.WithLabelValues(result, profile).Inc()
	m.duration.WithLabelValues(result, profile).Observe(took.Seconds())
	if result == "scheduled" {
		m.tries.Observe(float64(item.Attempts))
		m.sli.WithLabelValues(attempts(item.Attempts)).Observe(time.Since(item.Added).Seconds())
	}
}

// attempts has few values: each is a time series.
func attempts(n int) string {
	if n > 15 {
		return "16+"
	}
	return strconv.Itoa(n)
}

// Preempted counts an attempt to make room, and how many pods had to go.
func (m *Metrics) Preempted(victims int) {
	m.preempts.Inc()
	if victims > 0 {
		m.victims.Observe(float64(victims))
	}
}

// waiting asks the queue when somebody looks.
type waiting func() queue.Count

var pending = prometheus.NewDesc("scheduler_pending_pods",
	"Number of pending pods, by the queue type. 'active' means number of pods in activeQ; 'backoff' means number of pods in backoffQ; "+
		"'unschedulable' means number of pods in unschedulablePods that the scheduler attempted to schedule and failed; 'gated' is the number of "+
		"unschedulable pods that the scheduler never attempted to schedule because they are gated.", []string{"queue"}, nil)

func (w waiting) Describe(out chan<- *prometheus.Desc) { out <- pending }

func (w waiting) Collect(out chan<- prometheus.Metric) {
	c := w()
	for name, n := range map[string]int{"active": c.Active, "backoff": c.Backoff, "unschedulable": c.Unschedulable, "gated": c.Gated} {
		out <- prometheus.MustNewConstMetric(pending, prometheus.GaugeValue, float64(n), name)
	}
}
