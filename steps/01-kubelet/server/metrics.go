package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podstatus"
)

// metrics is the page of a gatherer, which may be nil.
func (s *Server) metrics(g prometheus.Gatherer) http.Handler {
	if g == nil {
		g = prometheus.NewRegistry()
	}
	return promhttp.HandlerFor(g, promhttp.HandlerOpts{})
}

// resourceMetrics has a registry of its own, as upstream: /metrics would be
// slow with the numbers of every container in it.
func (s *Server) resourceMetrics() http.Handler {
	r := prometheus.NewRegistry()
	if s.conf.Stats != nil {
		r.MustRegister(s.conf.Stats.Collector())
	}
	return s.metrics(r)
}

// requests counts what the server is asked.
type requests struct {
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inflight *prometheus.GaugeVec
}

// register adds the server's metrics to those of the kubelet.
func (s *Server) register() (requests, error) {
	labels := []string{"method", "path", "server_type", "long_running"}
	r := requests{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kubelet_http_requests_total", Help: "Number of the http requests received since the server started",
		}, labels),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kubelet_http_requests_duration_seconds", Help: "Duration in seconds to serve http requests",
		}, labels),
		inflight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kubelet_http_inflight_requests", Help: "Number of the inflight http requests",
		}, labels),
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		r.total, r.duration, r.inflight, runningCollector{s.conf.Kubelet},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		errs = append(errs, s.conf.Metrics.Register(c))
	}
	return r, errors.Join(errs...)
}

func (r requests) count(serverType string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		path, long := bucket(req.URL.Path)
		labels := []string{req.Method, path, serverType, long}
		r.total.WithLabelValues(labels...).Inc()
		r.inflight.WithLabelValues(labels...).Inc()
		defer r.inflight.WithLabelValues(labels...).Dec()
		began := time.Now()
		defer func() { r.duration.WithLabelValues(labels...).Observe(time.Since(began).Seconds()) }()
		h.ServeHTTP(w, req)
	})
}

// bucket is the first element of a path that the server knows, so that no
// client can make up series, and whether such requests last long.
func bucket(path string) (first, longRunning string) {
	first, _, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch first {
	case "exec", "attach", "portForward", "containerLogs":
		return first, "true"
	case "pods", "runningpods", "healthz", "configz", "stats", "metrics", "run":
		return first, "false"
	}
	return "other", "false"
}

// runningCollector counts the pods and containers of now.
type runningCollector struct{ kubelet Kubelet }

var (
	runningPods       = prometheus.NewDesc("kubelet_running_pods", "Number of pods that have a running pod sandbox", nil, nil)
	runningContainers = prometheus.NewDesc("kubelet_running_containers", "Number of containers currently running", []string{"container_state"}, nil)
	desiredPods       = prometheus.NewDesc("kubelet_desired_pods", "The number of pods the kubelet is being instructed to run.", []string{"static"}, nil)
)

// Describe implements prometheus.Collector.
func (c runningCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- runningPods
	ch <- runningContainers
	ch <- desiredPods
}

// Collect implements prometheus.Collector. When the runtime does not answer,
// there are no numbers of it.
func (c runningCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	states, static := map[string]int{"running": 0, "exited": 0}, map[string]int{"true": 0, "": 0}
	for _, p := range c.kubelet.Pods() {
		if podsource.IsStatic(p) {
			static["true"]++
		} else {
			static[""]++
		}
		for _, list := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses, p.Status.EphemeralContainerStatuses} {
			for i := range list {
				switch s := &list[i].State; {
				case s.Running != nil:
					states["running"]++
				case s.Terminated != nil:
					states["exited"]++
				}
			}
		}
	}
	for state, n := range states {
		ch <- prometheus.MustNewConstMetric(runningContainers, prometheus.GaugeValue, float64(n), state)
	}
	for label, n := range static {
		ch <- prometheus.MustNewConstMetric(desiredPods, prometheus.GaugeValue, float64(n), label)
	}
	if pods, err := c.kubelet.RunningPods(ctx); err == nil {
		ch <- prometheus.MustNewConstMetric(runningPods, prometheus.GaugeValue, float64(len(pods)))
	}
}

// PodMetrics is a status sink that counts what happens to pods. It is put beside
// the kubelet's other sinks.
type PodMetrics struct {
	start      prometheus.Histogram
	containers *prometheus.CounterVec

	mu   sync.Mutex // guards seen
	seen map[types.UID]*podSeen
}

type podSeen struct {
	running    bool
	containers map[string]bool // ids
}

var _ podstatus.Sink = (*PodMetrics)(nil)

// NewPodMetrics returns a sink whose numbers r shows.
func NewPodMetrics(r prometheus.Registerer) *PodMetrics {
	m := &PodMetrics{
		start: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "kubelet_pod_start_duration_seconds",
			Help:    "Duration in seconds from kubelet seeing a pod for the first time to the pod starting to run",
			Buckets: []float64{0.1, 0.25, 0.5, 1, 2, 3, 4, 5, 6, 8, 10, 20, 30, 45, 60, 120, 180, 240, 300, 360, 480, 600},
		}),
		containers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kubelet_started_containers_total", Help: "Cumulative number of containers started",
		}, []string{"container_type"}),
		seen: map[types.UID]*podSeen{},
	}
	r.MustRegister(m.start, m.containers)
	return m
}

// Set implements podstatus.Sink.
func (m *PodMetrics) Set(pod *corev1.Pod, status corev1.PodStatus) {
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := m.seen[pod.UID]
	if seen == nil {
		seen = &podSeen{containers: map[string]bool{}}
		m.seen[pod.UID] = seen
	}
	if status.Phase == corev1.PodRunning && !seen.running && status.StartTime != nil {
		seen.running = true
		m.start.Observe(time.Since(status.StartTime.Time).Seconds())
	}
	m.count(seen, "init_container", status.InitContainerStatuses)
	m.count(seen, "container", status.ContainerStatuses)
	m.count(seen, "ephemeral_container", status.EphemeralContainerStatuses)
}

func (m *PodMetrics) count(seen *podSeen, kind string, list []corev1.ContainerStatus) {
	for i := range list {
		c := &list[i]
		if c.State.Waiting == nil && c.ContainerID != "" && !seen.containers[c.ContainerID] {
			seen.containers[c.ContainerID] = true
			m.containers.WithLabelValues(kind).Inc()
		}
	}
}

// Released implements podstatus.Sink.
func (m *PodMetrics) Released(pod *corev1.Pod) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.seen, pod.UID)
}
