package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/scheduler"
)

// mind asks what the scheduler has in mind when somebody looks.
type mind func() scheduler.State

var (
	pending = prometheus.NewDesc("scheduler_pending_pods",
		"Number of pending pods, by the queue type. 'active' means number of pods in activeQ; 'backoff' means number of pods in backoffQ; "+
			"'unschedulable' means number of pods in unschedulablePods that the scheduler attempted to schedule and failed; 'gated' is the number of "+
			"unschedulable pods that the scheduler never attempted to schedule because they are gated.", []string{"queue"}, nil)
	incoming = prometheus.NewDesc("scheduler_queue_incoming_pods_total",
		"Number of pods added to scheduling queues by event and queue type.", []string{"queue", "event"}, nil)
	unschedulable = prometheus.NewDesc("scheduler_unschedulable_pods",
		"The number of unschedulable pods broken down by plugin name. A pod will increment the gauge for all plugins that caused it to not schedule "+
			"and so this metric have meaning only when broken down by plugin.", []string{"plugin", "profile"}, nil)
	cached = prometheus.NewDesc("scheduler_cache_size",
		"Number of nodes, pods, and assumed (bound) pods in the scheduler cache.", []string{"type"}, nil)
	goroutines = prometheus.NewDesc("scheduler_goroutines",
		"Number of running goroutines split by the work they do such as binding.", []string{"operation"}, nil)
)

// Describe implements prometheus.Collector.
func (m mind) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{pending, incoming, unschedulable, cached, goroutines} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m mind) Collect(out chan<- prometheus.Metric) {
	s := m()
	gauge := func(d *prometheus.Desc, n int, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	gauge(pending, s.Pending.Active, "active")
	gauge(pending, s.Pending.Backoff, "backoff")
	gauge(pending, s.Pending.Unschedulable, "unschedulable")
	gauge(pending, s.Pending.Gated, "gated")
	for entry, n := range s.Entered {
		out <- prometheus.MustNewConstMetric(incoming, prometheus.CounterValue, float64(n), entry.Queue, entry.Event)
	}
	for r, n := range s.Rejections {
		gauge(unschedulable, n, r.Plugin, r.Profile)
	}
	gauge(cached, s.Cache.Nodes, "nodes")
	gauge(cached, s.Cache.Pods, "pods")
	gauge(cached, s.Cache.Assumed, "assumed_pods")
	gauge(goroutines, s.Writing, "binding")
}
