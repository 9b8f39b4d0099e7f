package metrics

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
)

// Resources answers with what each pod requests and may use at most, as scheduler and
// kubelet understand it, of the pods that have not come to their end. There is a series
// for each pod and resource, so it has a path of its own: /metrics/resources.
//
// Upstream: pkg/scheduler/metrics/resources.
func Resources(pods func() []*corev1.Pod) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(resources(pods))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

type resources func() []*corev1.Pod

var (
	ofPod   = []string{"namespace", "pod", "node", "scheduler", "priority", "resource", "unit"}
	request = prometheus.NewDesc("kube_pod_resource_request",
		"Resources requested by workloads on the cluster, broken down by pod. This shows the resource usage the scheduler and kubelet expect per pod "+
			"for resources along with the unit for the resource if any.", ofPod, nil)
	limit = prometheus.NewDesc("kube_pod_resource_limit",
		"Resources limit for workloads on the cluster, broken down by pod. This shows the resource usage the scheduler and kubelet expect per pod "+
			"for resources along with the unit for the resource if any.", ofPod, nil)
)

// Describe implements prometheus.Collector.
func (r resources) Describe(out chan<- *prometheus.Desc) {
	out <- request
	out <- limit
}

// Collect implements prometheus.Collector.
func (r resources) Collect(out chan<- prometheus.Metric) {
	for _, pod := range r() {
		if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		priority := ""
		if p := pod.Spec.Priority; p != nil {
			priority = strconv.Itoa(int(*p))
		}
		for desc, list := range map[*prometheus.Desc]corev1.ResourceList{
			request: resource.PodRequests(pod, resource.PodResourcesOptions{}), limit: resource.PodLimits(pod, resource.PodResourcesOptions{}),
		} {
			for name, amount := range list {
				if !amount.IsZero() {
					out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, amount.AsApproximateFloat64(),
						pod.Namespace, pod.Name, pod.Spec.NodeName, pod.Spec.SchedulerName, priority, string(name), unit(name))
				}
			}
		}
	}
}

// unit is what an amount of a resource counts, if that is known.
func unit(name corev1.ResourceName) string {
	switch {
	case name == corev1.ResourceCPU:
		return "cores"
	case name == corev1.ResourceMemory, name == corev1.ResourceStorage, name == corev1.ResourceEphemeralStorage,
		strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix):
		return "bytes"
	case strings.HasPrefix(string(name), corev1.ResourceAttachableVolumesPrefix):
		return "integer"
	}
	return ""
}
