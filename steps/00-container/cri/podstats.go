package cri

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// PodSandboxStats measures one pod.
func (s *Service) PodSandboxStats(_ context.Context, req *runtimeapi.PodSandboxStatsRequest) (*runtimeapi.PodSandboxStatsResponse, error) {
	sb, err := s.sandbox(req.GetPodSandboxId())
	if err != nil {
		return nil, toStatus(err)
	}
	stats, err := s.podStats(sb)
	return &runtimeapi.PodSandboxStatsResponse{Stats: stats}, toStatus(err)
}

// ListPodSandboxStats measures the ready pods that a filter lets through.
func (s *Service) ListPodSandboxStats(_ context.Context, req *runtimeapi.ListPodSandboxStatsRequest) (*runtimeapi.ListPodSandboxStatsResponse, error) {
	stats, err := s.listPodStats(req.GetFilter())
	return &runtimeapi.ListPodSandboxStatsResponse{Stats: stats}, toStatus(err)
}

// StreamPodSandboxStats is ListPodSandboxStats, one by one.
func (s *Service) StreamPodSandboxStats(req *runtimeapi.StreamPodSandboxStatsRequest, out grpc.ServerStreamingServer[runtimeapi.StreamPodSandboxStatsResponse]) error {
	stats, err := s.listPodStats(req.GetFilter())
	return stream(stats, err, func(st *runtimeapi.PodSandboxStats) error {
		return out.Send(&runtimeapi.StreamPodSandboxStatsResponse{PodSandboxStats: []*runtimeapi.PodSandboxStats{st}})
	})
}

func (s *Service) listPodStats(f *runtimeapi.PodSandboxStatsFilter) (out []*runtimeapi.PodSandboxStats, err error) {
	all, err := s.allSandboxes()
	if err != nil {
		return nil, err
	}
	for _, sb := range all {
		if !strings.HasPrefix(sb.ID, f.GetId()) || !matches(f.GetLabelSelector(), sb.Config.GetLabels()) || !s.isReady(sb) {
			continue
		}
		stats, err := s.podStats(sb)
		if err != nil {
			return nil, err
		}
		out = append(out, stats)
	}
	return out, nil
}

// podStats reads the pod's cgroup, which holds those of its containers, and
// the counters of its network interfaces.
func (s *Service) podStats(sb *sandbox) (*runtimeapi.PodSandboxStats, error) {
	linux := &runtimeapi.LinuxPodSandboxStats{}
	containers, err := s.containersOf(sb.ID)
	if err != nil {
		return nil, err
	}
	for _, c := range containers {
		if s.stateOf(c) == runtimeapi.ContainerState_CONTAINER_RUNNING {
			linux.Containers = append(linux.Containers, s.containerStats(c))
		}
	}
	if raw, ok := s.measure(sb.Cgroup); ok {
		linux.Cpu, linux.Memory, linux.Io = s.cpuUsage(sb.ID, raw), memoryUsage(raw), ioUsage(raw)
		linux.Process = &runtimeapi.ProcessUsage{Timestamp: time.Now().UnixNano(), ProcessCount: uint64Value(raw.PidsStats.Current)}
	}
	if pause, ok := s.pause(sb.ID); ok && !hostNetwork(sb.Config) {
		if linux.Network, err = networkUsage(pause.PID); err != nil {
			return nil, err
		}
	}
	return &runtimeapi.PodSandboxStats{
		Attributes: &runtimeapi.PodSandboxAttributes{
			Id: sb.ID, Metadata: sb.Config.GetMetadata(), Labels: sb.Config.GetLabels(), Annotations: sb.Config.GetAnnotations(),
		},
		Linux: linux,
	}, nil
}

// networkUsage reads the interfaces in the network namespace of a process;
// the first beside the loopback is the default.
func networkUsage(pid int) (*runtimeapi.NetworkUsage, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/net/dev", pid))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	usage := &runtimeapi.NetworkUsage{Timestamp: time.Now().UnixNano()}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, counters, ok := strings.Cut(lines.Text(), ":")
		name = strings.TrimSpace(name)
		if !ok || name == "lo" {
			continue
		}
		i := interfaceUsage(name, strings.Fields(counters))
		if usage.DefaultInterface == nil {
			usage.DefaultInterface = i
		} else {
			usage.Interfaces = append(usage.Interfaces, i)
		}
	}
	return usage, lines.Err()
}

// interfaceUsage reads the columns of /proc/net/dev: eight counters for what
// was received, bytes first and errors third, and eight for what was sent.
func interfaceUsage(name string, counters []string) *runtimeapi.NetworkInterfaceUsage {
	column := func(i int) *runtimeapi.UInt64Value {
		if i >= len(counters) {
			return nil
		}
		n, _ := strconv.ParseUint(counters[i], 10, 64)
		return uint64Value(n)
	}
	return &runtimeapi.NetworkInterfaceUsage{
		Name: name, RxBytes: column(0), RxErrors: column(2), TxBytes: column(8), TxErrors: column(10),
	}
}
