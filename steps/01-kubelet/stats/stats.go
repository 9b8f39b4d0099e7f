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
	"fmt"
	"log/slog"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
)

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
	CgroupRoot string // the cgroup, relative to each hierarchy's mount, that is the whole node: "/"
	RootDir    string // its file system is the node's: /var/lib/kubelet
	PodLogsDir string
	Log        *slog.Logger
}

// A Provider measures when it is asked. It may be used concurrently.
type Provider struct {
	conf Config
	node *node
}

// New returns a provider.
func New(conf Config) *Provider {
	if conf.Log == nil {
		conf.Log = slog.New(slog.DiscardHandler)
	}
	return &Provider{conf: conf, node: &node{root: conf.CgroupRoot}}
}

// Summary returns the numbers of now. What can't be measured is left out, with
// a line in the log; an error means that the runtime does not answer. With
// onlyCPUAndMemory there are no disks and networks in it, which is cheaper.
func (p *Provider) Summary(ctx context.Context, onlyCPUAndMemory bool) (*statsapi.Summary, error) {
	sandboxes, err := p.sandboxes(ctx)
	if err != nil {
		return nil, fmt.Errorf("numbers of the pods: %w", err)
	}
	s := &statsapi.Summary{Pods: []statsapi.PodStats{}}
	if onlyCPUAndMemory {
		s.Node = p.cpuAndMemory()
	} else {
		s.Node = p.Node(ctx)
	}
	known := map[string]*corev1.Pod{}
	for _, pod := range p.conf.Pods() {
		known[string(pod.UID)] = pod
	}
	for _, sandbox := range sandboxes {
		pod := known[sandbox.GetAttributes().GetMetadata().GetUid()]
		stats := podStats(sandbox, pod)
		if onlyCPUAndMemory {
			forgetDisks(&stats)
		} else {
			p.podDisks(ctx, &stats, pod)
		}
		s.Pods = append(s.Pods, stats)
	}
	slices.SortFunc(s.Pods, func(a, b statsapi.PodStats) int {
		return strings.Compare(a.PodRef.Namespace+"/"+a.PodRef.Name, b.PodRef.Namespace+"/"+b.PodRef.Name)
	})
	return s, nil
}

// Node returns the numbers of the node alone, as Summary has them.
func (p *Provider) Node(ctx context.Context) statsapi.NodeStats {
	n := p.cpuAndMemory()
	p.disks(ctx, &n)
	return n
}

func (p *Provider) cpuAndMemory() statsapi.NodeStats {
	n, err := p.node.stats()
	if err != nil {
		p.conf.Log.Warn("the node's numbers are incomplete", "error", err)
	}
	n.NodeName = p.conf.NodeName
	return n
}

func forgetDisks(s *statsapi.PodStats) {
	s.Network, s.ProcessStats, s.EphemeralStorage = nil, nil, nil
	for i := range s.Containers {
		s.Containers[i].Rootfs, s.Containers[i].Logs = nil, nil
	}
}

// disks adds the node's file systems.
func (p *Provider) disks(ctx context.Context, n *statsapi.NodeStats) {
	n.Fs = p.fileSystem(p.conf.RootDir)
	if n.Fs != nil && n.Fs.CapacityBytes != nil {
		used := *n.Fs.CapacityBytes - *n.Fs.AvailableBytes
		n.Fs.UsedBytes = &used
	}
	reply, err := p.conf.Images.ImageFsInfo(ctx, &runtimeapi.ImageFsInfoRequest{})
	if err != nil {
		p.conf.Log.Warn("the runtime does not tell about its file systems", "error", err)
		return
	}
	n.Runtime = &statsapi.RuntimeStats{
		ImageFs:     p.runtimeDisk(reply.GetImageFilesystems()),
		ContainerFs: p.runtimeDisk(reply.GetContainerFilesystems()),
	}
}

func (p *Provider) runtimeDisk(list []*runtimeapi.FilesystemUsage) *statsapi.FsStats {
	if len(list) == 0 {
		return nil
	}
	return p.occupied(list[0])
}

// occupied is what the runtime says of a directory, and statfs of its disk.
func (p *Provider) occupied(u *runtimeapi.FilesystemUsage) *statsapi.FsStats {
	if u == nil {
		return nil
	}
	fs := p.fileSystem(u.GetFsId().GetMountpoint())
	if fs == nil {
		fs = &statsapi.FsStats{}
	}
	fs.Time = timeOf(u.GetTimestamp())
	fs.UsedBytes, fs.InodesUsed = value(u.GetUsedBytes()), value(u.GetInodesUsed())
	return fs
}

func (p *Provider) fileSystem(dir string) *statsapi.FsStats {
	if dir == "" {
		return nil
	}
	u, err := volume.FileSystem(dir)
	if err != nil {
		p.conf.Log.Debug("file system not measured", "error", err)
		return nil
	}
	return fsStats(u, metav1.Now())
}
