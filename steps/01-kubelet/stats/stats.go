// Package stats measures the node and its pods.
//
// The numbers come from three places: the runtime knows what its containers
// use, the cgroup files know what everything on the node uses, and statfs knows
// the disks. [Provider.Summary] joins them into the document of /stats/summary,
// from which kubectl top (through metrics-server) and eviction decide.
//
// Upstream: pkg/kubelet/stats/cri_stats_provider.go.
package stats

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
)

// A Runtime is the part of the CRI that has numbers.
// runtimeapi.RuntimeServiceServer has it.
type Runtime interface {
	ListPodSandboxStats(context.Context, *runtimeapi.ListPodSandboxStatsRequest) (*runtimeapi.ListPodSandboxStatsResponse, error)
	ListContainerStats(context.Context, *runtimeapi.ListContainerStatsRequest) (*runtimeapi.ListContainerStatsResponse, error)
}

// Images is the part of the image service that has numbers.
type Images interface {
	ImageFsInfo(context.Context, *runtimeapi.ImageFsInfoRequest) (*runtimeapi.ImageFsInfoResponse, error)
}

// A Config says where the numbers come from.
type Config struct {
	NodeName   string
	Runtime    Runtime
	Images     Images
	Pods       func() []*corev1.Pod // with status
	Volumes    func(ctx context.Context, pod *corev1.Pod) ([]volume.Usage, error)
	CgroupRoot string // the cgroup, relative to each hierarchy's mount, which is the whole node: "/"
	RootDir    string // its file system is the node's: /var/lib/kubelet
	PodLogsDir string
	Log        *slog.Logger
}

// A Provider measures when it is asked. It may be used concurrently.
type Provider struct{ conf Config }

// New returns a provider.
func New(conf Config) *Provider { return &Provider{conf} }

// Summary returns the numbers of now. A pod whose numbers are not to be had is
// left out, with a line in the log; an error means that the runtime does not answer.
func (p *Provider) Summary(ctx context.Context) (*statsapi.Summary, error) { return nil, nil }

// Collector returns the metrics of /metrics/resource: node_cpu_usage_seconds_total,
// container_memory_working_set_bytes and so on.
func (p *Provider) Collector() prometheus.Collector { return nil }
