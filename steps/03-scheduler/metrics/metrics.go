// Package metrics counts what the scheduler does, under the names that upstream's
// has, so that dashboards and alerts made for it show ours. What every component of
// Kubernetes counts, its requests, its lease and its process, it leaves to
// component-base.
//
// Upstream: pkg/scheduler/metrics/metrics.go.
package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/component-base/metrics/legacyregistry"
	_ "k8s.io/component-base/metrics/prometheus/clientgo/leaderelection"
	_ "k8s.io/component-base/metrics/prometheus/restclient"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/decide"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/queue"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/scheduler"
)

// Metrics count. Make them with [New].
type Metrics struct {
	registry *prometheus.Registry

	attempts  *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	algorithm prometheus.Histogram
	points    *prometheus.HistogramVec
	sli       *prometheus.HistogramVec
	tries     prometheus.Histogram
	preempts  prometheus.Counter
	victims   prometheus.Histogram
}

// New returns metrics of nothing yet, and of what the scheduler has in mind, which
// state tells.
func New(state func() scheduler.State) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "scheduler_schedule_attempts_total",
			Help: "Number of attempts to schedule pods, by the result. 'unschedulable' means a pod could not be scheduled, while 'error' means an internal scheduler problem."},
			[]string{"result", "profile"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "scheduler_scheduling_attempt_duration_seconds",
			Help: "Scheduling attempt latency in seconds (scheduling algorithm + binding)", Buckets: prometheus.ExponentialBuckets(0.001, 2, 15)},
			[]string{"result", "profile"}),
		algorithm: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "scheduler_scheduling_algorithm_duration_seconds",
			Help: "Scheduling algorithm latency in seconds", Buckets: prometheus.ExponentialBuckets(0.001, 2, 15)}),
		points: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "scheduler_framework_extension_point_duration_seconds",
			Help: "Latency for running all plugins of a specific extension point.", Buckets: prometheus.ExponentialBuckets(0.0001, 2, 12)},
			[]string{"extension_point", "status", "profile"}),
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
	m.registry.MustRegister(m.attempts, m.duration, m.algorithm, m.points, m.sli, m.tries, m.preempts, m.victims, mind(state))
	return m
}

// Own returns what the scheduler counts itself.
func (m *Metrics) Own() ([]*dto.MetricFamily, error) { return m.registry.Gather() }

// Handler answers with all metrics in the text format of Prometheus, those of
// component-base, which are the process's, among them.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(prometheus.Gatherers{m.registry, legacyregistry.DefaultGatherer}, promhttp.HandlerOpts{})
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

// Decided counts a decision, and what it consisted of.
func (m *Metrics) Decided(d *decide.Decision, took time.Duration) {
	m.algorithm.Observe(took.Seconds())
	for _, s := range d.Spans {
		m.Ran(d.Pod.Spec.SchedulerName, s.Point, s.Code, s.Took)
	}
}

// Ran counts how long the plugins of an extension point took.
func (m *Metrics) Ran(profile, point string, code framework.Code, took time.Duration) {
	m.points.WithLabelValues(point, code.String(), profile).Observe(took.Seconds())
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
