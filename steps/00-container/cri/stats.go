package cri

import (
	"context"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/opencontainers/cgroups"
	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// usageCache remembers the last sample of what is expensive to measure, or is
// a rate and needs two.
type usageCache struct {
	mu   sync.Mutex // guards the fields below
	cpu  map[string]cpuSample
	disk map[string]*runtimeapi.FilesystemUsage
}

type cpuSample struct {
	at    time.Time
	total uint64 // nanoseconds
	rate  uint64 // nanoseconds per second
}

// rate is the CPU usage since the last sample that is old enough to tell.
func (u *usageCache) rate(id string, at time.Time, total uint64) uint64 {
	const enough = time.Second / 2
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.cpu == nil {
		u.cpu = map[string]cpuSample{}
	}
	last, ok := u.cpu[id]
	elapsed := at.Sub(last.at)
	if ok && elapsed < enough {
		return last.rate
	}
	now := cpuSample{at: at, total: total}
	if ok && total >= last.total {
		now.rate = uint64(float64(total-last.total) / elapsed.Seconds())
	}
	u.cpu[id] = now
	return now.rate
}

// diskUsage walks a writable layer, at most once in ten seconds.
func (u *usageCache) diskUsage(dir string) *runtimeapi.FilesystemUsage {
	const fresh = 10 * time.Second
	u.mu.Lock()
	last := u.disk[dir]
	u.mu.Unlock()
	if last != nil && time.Since(time.Unix(0, last.Timestamp)) < fresh {
		return last
	}
	var bytes, inodes uint64
	filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // it went away while we looked
		}
		if info, err := e.Info(); err == nil {
			inodes++
			bytes += uint64(info.Sys().(*syscall.Stat_t).Blocks) * 512
		}
		return nil
	})
	usage := &runtimeapi.FilesystemUsage{
		Timestamp:  time.Now().UnixNano(),
		FsId:       &runtimeapi.FilesystemIdentifier{Mountpoint: dir},
		UsedBytes:  uint64Value(bytes),
		InodesUsed: uint64Value(inodes),
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.disk == nil {
		u.disk = map[string]*runtimeapi.FilesystemUsage{}
	}
	u.disk[dir] = usage
	return usage
}

// forget drops the samples of a container or sandbox that is removed.
func (u *usageCache) forget(id, dir string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.cpu, id)
	delete(u.disk, dir)
}

func uint64Value(v uint64) *runtimeapi.UInt64Value { return &runtimeapi.UInt64Value{Value: v} }

// ContainerStats measures one container.
func (s *Service) ContainerStats(_ context.Context, req *runtimeapi.ContainerStatsRequest) (*runtimeapi.ContainerStatsResponse, error) {
	c, err := s.container(req.GetContainerId())
	if err != nil {
		return nil, toStatus(err)
	}
	return &runtimeapi.ContainerStatsResponse{Stats: s.containerStats(c)}, nil
}

// ListContainerStats measures the running containers that a filter lets through.
func (s *Service) ListContainerStats(_ context.Context, req *runtimeapi.ListContainerStatsRequest) (*runtimeapi.ListContainerStatsResponse, error) {
	stats, err := s.listStats(req.GetFilter())
	return &runtimeapi.ListContainerStatsResponse{Stats: stats}, toStatus(err)
}

// StreamContainerStats is ListContainerStats, one by one.
func (s *Service) StreamContainerStats(req *runtimeapi.StreamContainerStatsRequest, out grpc.ServerStreamingServer[runtimeapi.StreamContainerStatsResponse]) error {
	stats, err := s.listStats(req.GetFilter())
	return stream(stats, err, func(st *runtimeapi.ContainerStats) error {
		return out.Send(&runtimeapi.StreamContainerStatsResponse{ContainerStats: []*runtimeapi.ContainerStats{st}})
	})
}

func (s *Service) listStats(f *runtimeapi.ContainerStatsFilter) (out []*runtimeapi.ContainerStats, err error) {
	all, err := s.allContainers()
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		if strings.HasPrefix(c.ID, f.GetId()) && strings.HasPrefix(c.Sandbox, f.GetPodSandboxId()) &&
			matches(f.GetLabelSelector(), c.Config.GetLabels()) && s.stateOf(c) == runtimeapi.ContainerState_CONTAINER_RUNNING {
			out = append(out, s.containerStats(c))
		}
	}
	return out, nil
}

func (s *Service) containerStats(c *container) *runtimeapi.ContainerStats {
	st := &runtimeapi.ContainerStats{
		Attributes: &runtimeapi.ContainerAttributes{
			Id: c.ID, Metadata: c.Config.GetMetadata(), Labels: c.Config.GetLabels(), Annotations: c.Config.GetAnnotations(),
		},
		WritableLayer: s.usage.diskUsage(filepath.Join(s.dirs.Container(c.Sandbox, c.ID), "upper")),
	}
	if s.stateOf(c) != runtimeapi.ContainerState_CONTAINER_RUNNING {
		return st
	}
	if raw, ok := s.measure(c.Cgroup); ok {
		st.Cpu, st.Memory = s.cpuUsage(c.ID, raw), memoryUsage(raw)
		st.Swap, st.Io = swapUsage(raw), ioUsage(raw)
	}
	return st
}

// measure reads a cgroup. One that is gone has no usage.
func (s *Service) measure(cgroup string) (*cgroups.Stats, bool) {
	m, err := cgroupAt(cgroup, &cgroups.Resources{})
	if err != nil {
		return nil, false
	}
	st, err := m.GetStats()
	if err != nil {
		s.log.Debug("measure", "cgroup", cgroup, "err", err)
		return nil, false
	}
	return st, true
}

func (s *Service) cpuUsage(id string, st *cgroups.Stats) *runtimeapi.CpuUsage {
	now := time.Now()
	total := st.CpuStats.CpuUsage.TotalUsage
	return &runtimeapi.CpuUsage{
		Timestamp:            now.UnixNano(),
		UsageCoreNanoSeconds: uint64Value(total),
		UsageNanoCores:       uint64Value(s.usage.rate(id, now, total)),
		Psi:                  psi(st.CpuStats.PSI),
	}
}

// memoryUsage: the working set is what could not be taken away by dropping
// inactive file pages; it is what the kubelet evicts by.
func memoryUsage(st *cgroups.Stats) *runtimeapi.MemoryUsage {
	m := st.MemoryStats
	usage, limit := m.Usage.Usage, m.Usage.Limit
	inactive, rss := stat(m.Stats, "total_inactive_file", "inactive_file"), stat(m.Stats, "total_rss", "anon")
	working := usage - min(inactive, usage)
	out := &runtimeapi.MemoryUsage{
		Timestamp:       time.Now().UnixNano(),
		UsageBytes:      uint64Value(usage),
		WorkingSetBytes: uint64Value(working),
		RssBytes:        uint64Value(rss),
		PageFaults:      uint64Value(stat(m.Stats, "total_pgfault", "pgfault")),
		MajorPageFaults: uint64Value(stat(m.Stats, "total_pgmajfault", "pgmajfault")),
		Psi:             psi(m.PSI),
	}
	const unlimited = 1 << 62 // what "no limit" looks like depends on the page size
	if limit < unlimited && limit > 0 {
		out.AvailableBytes = uint64Value(limit - min(working, limit))
	}
	return out
}

// stat is a value by its name on v1, or on v2.
func stat(stats map[string]uint64, v1, v2 string) uint64 {
	if v, ok := stats[v1]; ok {
		return v
	}
	return stats[v2]
}

func swapUsage(st *cgroups.Stats) *runtimeapi.SwapUsage {
	swap := st.MemoryStats.SwapOnlyUsage
	out := &runtimeapi.SwapUsage{Timestamp: time.Now().UnixNano(), SwapUsageBytes: uint64Value(swap.Usage)}
	if swap.Limit >= swap.Usage && swap.Limit < 1<<62 {
		out.SwapAvailableBytes = uint64Value(swap.Limit - swap.Usage)
	}
	return out
}

func ioUsage(st *cgroups.Stats) *runtimeapi.IoUsage {
	return &runtimeapi.IoUsage{Timestamp: time.Now().UnixNano(), Psi: psi(st.BlkioStats.PSI)}
}

func psi(p *cgroups.PSIStats) *runtimeapi.PsiStats {
	if p == nil {
		return nil
	}
	data := func(d cgroups.PSIData) *runtimeapi.PsiData {
		return &runtimeapi.PsiData{Total: d.Total, Avg10: d.Avg10, Avg60: d.Avg60, Avg300: d.Avg300}
	}
	return &runtimeapi.PsiStats{Full: data(p.Full), Some: data(p.Some)}
}
