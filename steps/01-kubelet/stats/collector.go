package stats

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// Collector returns the metrics of /metrics/resource, by upstream's names
// (pkg/kubelet/metrics/collectors/resource_metrics.go).
func (p *Provider) Collector() prometheus.Collector { return collector{p} }

type collector struct{ p *Provider }

var (
	ofContainer = []string{"container", "pod", "namespace"}
	ofPod       = []string{"pod", "namespace"}

	nodeCPU        = prometheus.NewDesc("node_cpu_usage_seconds_total", "Cumulative cpu time consumed by the node in core-seconds", nil, nil)
	nodeMemory     = prometheus.NewDesc("node_memory_working_set_bytes", "Current working set of the node in bytes", nil, nil)
	nodeSwap       = prometheus.NewDesc("node_swap_usage_bytes", "Current swap usage of the node in bytes. Reported only on non-windows systems", nil, nil)
	containerCPU   = prometheus.NewDesc("container_cpu_usage_seconds_total", "Cumulative cpu time consumed by the container in core-seconds", ofContainer, nil)
	containerMem   = prometheus.NewDesc("container_memory_working_set_bytes", "Current working set of the container in bytes", ofContainer, nil)
	containerStart = prometheus.NewDesc("container_start_time_seconds", "Start time of the container since unix epoch in seconds", ofContainer, nil)
	containerSwap  = prometheus.NewDesc("container_swap_usage_bytes", "Current amount of the container swap usage in bytes. Reported only on non-windows systems", ofContainer, nil)
	podCPU         = prometheus.NewDesc("pod_cpu_usage_seconds_total", "Cumulative cpu time consumed by the pod in core-seconds", ofPod, nil)
	podMemory      = prometheus.NewDesc("pod_memory_working_set_bytes", "Current working set of the pod in bytes", ofPod, nil)
	scrapeError    = prometheus.NewDesc("resource_scrape_error", "1 if there was an error while getting container metrics, 0 otherwise", nil, nil)
)

// Describe implements prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		nodeCPU, nodeMemory, nodeSwap, containerCPU, containerMem, containerStart, containerSwap, podCPU, podMemory, scrapeError,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	summary, err := c.p.Summary(ctx, true)
	if err != nil {
		c.p.conf.Log.Warn("numbers for /metrics/resource", "error", err)
		ch <- prometheus.MustNewConstMetric(scrapeError, prometheus.GaugeValue, 1)
		return
	}
	ch <- prometheus.MustNewConstMetric(scrapeError, prometheus.GaugeValue, 0)
	cpu(ch, nodeCPU, summary.Node.CPU)
	memoryOf(ch, nodeMemory, summary.Node.Memory)
	swap(ch, nodeSwap, summary.Node.Swap)
	for _, pod := range summary.Pods {
		cpu(ch, podCPU, pod.CPU, pod.PodRef.Name, pod.PodRef.Namespace)
		memoryOf(ch, podMemory, pod.Memory, pod.PodRef.Name, pod.PodRef.Namespace)
		for _, container := range pod.Containers {
			labels := []string{container.Name, pod.PodRef.Name, pod.PodRef.Namespace}
			cpu(ch, containerCPU, container.CPU, labels...)
			memoryOf(ch, containerMem, container.Memory, labels...)
			swap(ch, containerSwap, container.Swap, labels...)
			if at := container.StartTime; !at.IsZero() {
				ch <- prometheus.MustNewConstMetric(containerStart, prometheus.GaugeValue, float64(at.UnixNano())/1e9, labels...)
			}
		}
	}
}

func cpu(ch chan<- prometheus.Metric, d *prometheus.Desc, s *statsapi.CPUStats, labels ...string) {
	if s != nil && s.UsageCoreNanoSeconds != nil {
		send(ch, d, prometheus.CounterValue, s.Time, float64(*s.UsageCoreNanoSeconds)/1e9, labels)
	}
}

func memoryOf(ch chan<- prometheus.Metric, d *prometheus.Desc, s *statsapi.MemoryStats, labels ...string) {
	if s != nil && s.WorkingSetBytes != nil {
		send(ch, d, prometheus.GaugeValue, s.Time, float64(*s.WorkingSetBytes), labels)
	}
}

func swap(ch chan<- prometheus.Metric, d *prometheus.Desc, s *statsapi.SwapStats, labels ...string) {
	if s != nil && s.SwapUsageBytes != nil {
		send(ch, d, prometheus.GaugeValue, s.Time, float64(*s.SwapUsageBytes), labels)
	}
}

// send gives a sample the time at which it was measured.
func send(ch chan<- prometheus.Metric, d *prometheus.Desc, kind prometheus.ValueType, at metav1.Time, v float64, labels []string) {
	ch <- prometheus.NewMetricWithTimestamp(at.Time, prometheus.MustNewConstMetric(d, kind, v, labels...))
}
