package cri

import (
	"context"
	"time"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A metric is one number of a container, by the name that cAdvisor gave it.
type metric struct {
	name, help string
	kind       runtimeapi.MetricType
	value      func(*runtimeapi.ContainerStats) *runtimeapi.UInt64Value
}

var metrics = []metric{
	{"container_cpu_usage_nanoseconds_total", "CPU time used, in nanoseconds.", runtimeapi.MetricType_COUNTER,
		func(s *runtimeapi.ContainerStats) *runtimeapi.UInt64Value {
			return s.GetCpu().GetUsageCoreNanoSeconds()
		}},
	{"container_memory_usage_bytes", "Memory in use, page cache included.", runtimeapi.MetricType_GAUGE,
		func(s *runtimeapi.ContainerStats) *runtimeapi.UInt64Value { return s.GetMemory().GetUsageBytes() }},
	{"container_memory_working_set_bytes", "Memory in use without inactive file pages.", runtimeapi.MetricType_GAUGE,
		func(s *runtimeapi.ContainerStats) *runtimeapi.UInt64Value {
			return s.GetMemory().GetWorkingSetBytes()
		}},
	{"container_memory_rss", "Anonymous memory.", runtimeapi.MetricType_GAUGE,
		func(s *runtimeapi.ContainerStats) *runtimeapi.UInt64Value { return s.GetMemory().GetRssBytes() }},
	{"container_fs_usage_bytes", "Size of the writable layer.", runtimeapi.MetricType_GAUGE,
		func(s *runtimeapi.ContainerStats) *runtimeapi.UInt64Value { return s.GetWritableLayer().GetUsedBytes() }},
	{"container_fs_inodes_total", "Files in the writable layer.", runtimeapi.MetricType_GAUGE,
		func(s *runtimeapi.ContainerStats) *runtimeapi.UInt64Value {
			return s.GetWritableLayer().GetInodesUsed()
		}},
}

var metricLabels = []string{"id", "name", "pod"}

// ListMetricDescriptors names the metrics, and the labels that their values have.
func (s *Service) ListMetricDescriptors(context.Context, *runtimeapi.ListMetricDescriptorsRequest) (*runtimeapi.ListMetricDescriptorsResponse, error) {
	resp := &runtimeapi.ListMetricDescriptorsResponse{}
	for _, m := range metrics {
		resp.Descriptors = append(resp.Descriptors, &runtimeapi.MetricDescriptor{Name: m.name, Help: m.help, LabelKeys: metricLabels})
	}
	return resp, nil
}

// ListPodSandboxMetrics measures all ready pods.
func (s *Service) ListPodSandboxMetrics(context.Context, *runtimeapi.ListPodSandboxMetricsRequest) (*runtimeapi.ListPodSandboxMetricsResponse, error) {
	pods, err := s.podMetrics()
	return &runtimeapi.ListPodSandboxMetricsResponse{PodMetrics: pods}, toStatus(err)
}

// StreamPodSandboxMetrics is ListPodSandboxMetrics, one by one.
func (s *Service) StreamPodSandboxMetrics(_ *runtimeapi.StreamPodSandboxMetricsRequest, out grpc.ServerStreamingServer[runtimeapi.StreamPodSandboxMetricsResponse]) error {
	pods, err := s.podMetrics()
	return stream(pods, err, func(p *runtimeapi.PodSandboxMetrics) error {
		return out.Send(&runtimeapi.StreamPodSandboxMetricsResponse{PodSandboxMetrics: []*runtimeapi.PodSandboxMetrics{p}})
	})
}

func (s *Service) podMetrics() (out []*runtimeapi.PodSandboxMetrics, err error) {
	pods, err := s.listPodStats(nil)
	if err != nil {
		return nil, err
	}
	for _, p := range pods {
		pm := &runtimeapi.PodSandboxMetrics{PodSandboxId: p.GetAttributes().GetId()}
		for _, c := range p.GetLinux().GetContainers() {
			pm.ContainerMetrics = append(pm.ContainerMetrics, containerMetrics(p.GetAttributes(), c))
		}
		out = append(out, pm)
	}
	return out, nil
}

func containerMetrics(pod *runtimeapi.PodSandboxAttributes, c *runtimeapi.ContainerStats) *runtimeapi.ContainerMetrics {
	a := c.GetAttributes()
	out := &runtimeapi.ContainerMetrics{ContainerId: a.GetId()}
	labels := []string{a.GetId(), a.GetMetadata().GetName(), pod.GetMetadata().GetName()}
	for _, m := range metrics {
		if v := m.value(c); v != nil {
			out.Metrics = append(out.Metrics, &runtimeapi.Metric{
				Name: m.name, Timestamp: time.Now().UnixNano(), MetricType: m.kind, LabelValues: labels, Value: v,
			})
		}
	}
	return out
}
