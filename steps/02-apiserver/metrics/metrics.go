// Package metrics counts what the API server does, under the names that upstream's
// has, so that dashboards and alerts made for it show ours.
//
// Upstream: staging/src/k8s.io/apiserver/pkg/endpoints/metrics and
// storage/etcd3/metrics.
package metrics

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/server"
)

// Metrics is a server.Observer that counts.
type Metrics struct {
	registry *prometheus.Registry

	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	size     *prometheus.HistogramVec
	inFlight *prometheus.GaugeVec
	lasting  *prometheus.GaugeVec
}

var _ server.Observer = (*Metrics)(nil)

// about are the labels of what is counted for each kind of request.
var about = []string{"verb", "group", "version", "resource", "subresource", "scope"}

// New returns metrics of nothing yet, and of the process.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "apiserver_request_total",
			Help: "Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, component, and HTTP response code."},
			append([]string{"dry_run", "component", "code"}, about...)),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "apiserver_request_duration_seconds",
			Help:    "Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource, scope and component.",
			Buckets: []float64{0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60}},
			append([]string{"dry_run", "component"}, about...)),
		size: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "apiserver_response_sizes",
			Help:    "Response size distribution in bytes for each group, version, verb, resource, subresource, scope and component.",
			Buckets: prometheus.ExponentialBuckets(1000, 10, 7)},
			append([]string{"component"}, about...)),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "apiserver_current_inflight_requests",
			Help: "Maximal number of currently used inflight request limit of this apiserver per request kind in last second."}, []string{"request_kind"}),
		lasting: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "apiserver_longrunning_requests",
			Help: "Gauge of all active long-running apiserver requests broken out by verb, group, version, resource, scope and component. Not all requests are tracked this way."},
			append([]string{"component"}, about...)),
	}
	m.registry.MustRegister(m.requests, m.duration, m.size, m.inFlight, m.lasting,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler answers with all metrics in the text format of Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Gauge adds a number that is asked for when somebody looks.
func (m *Metrics) Gauge(name, help string, labels map[string]string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value))
}

// Observe implements server.Observer.
func (m *Metrics) Observe(stage server.Stage, e *server.Exchange) {
	running := m.inFlight.WithLabelValues(kindOf(e.Method))
	if e.Lasting {
		running = m.lasting.With(labelsOf(e))
	}
	switch stage {
	case server.Received:
		running.Inc()
	case server.Complete:
		running.Dec()
		labels := labelsOf(e)
		if v := labels["verb"]; !e.Lasting && (v == "GET" || v == "LIST") {
			m.size.With(labels).Observe(float64(e.Bytes))
		}
		labels["dry_run"] = strings.Join(e.URL.Query()["dryRun"], ",")
		if labels["dry_run"] != "" {
			labels["dry_run"] = "All"
		}
		if !e.Lasting {
			m.duration.With(labels).Observe(time.Since(e.Received).Seconds())
		}
		labels["code"] = strconv.Itoa(e.Code)
		m.requests.With(labels).Inc()
	}
}

func kindOf(method string) string {
	if method == http.MethodGet || method == http.MethodHead {
		return "readOnly"
	}
	return "mutating"
}

// labelsOf has nothing that clients can make up: that would be without number.
func labelsOf(e *server.Exchange) prometheus.Labels {
	i := e.Info
	labels := prometheus.Labels{"verb": verbOf(i), "group": "", "version": "", "resource": "", "subresource": "", "scope": "", "component": "apiserver"}
	if !e.Known {
		return labels
	}
	labels["group"], labels["version"], labels["resource"], labels["subresource"] = i.APIGroup, i.APIVersion, i.Resource, i.Subresource
	switch {
	case i.Name != "" || i.Verb == "create":
		labels["scope"] = "resource"
	case i.Namespace != "":
		labels["scope"] = "namespace"
	default:
		labels["scope"] = "cluster"
	}
	return labels
}

// verbOf is the verb in the words of the metrics, where some have another name.
func verbOf(i *apirequest.RequestInfo) string {
	switch v := strings.ToUpper(i.Verb); v {
	case "CREATE":
		return "POST"
	case "UPDATE":
		return "PUT"
	case "PATCH", "GET", "LIST", "WATCH", "DELETE", "DELETECOLLECTION", "POST", "PUT":
		return v
	case "HEAD":
		return "GET"
	}
	return "other"
}
