package stats

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
)

// podStats turns the runtime's numbers into those of the summary. Pod, which
// knows when things started, may be nil.
func podStats(in *runtimeapi.PodSandboxStats, pod *corev1.Pod) statsapi.PodStats {
	meta, linux := in.GetAttributes().GetMetadata(), in.GetLinux()
	out := statsapi.PodStats{
		PodRef:     statsapi.PodReference{Name: meta.GetName(), Namespace: meta.GetNamespace(), UID: meta.GetUid()},
		Containers: []statsapi.ContainerStats{},
		CPU:        cpuStats(linux.GetCpu()),
		Memory:     memoryStats(linux.GetMemory()),
		Network:    networkStats(linux.GetNetwork()),
	}
	if pod != nil && pod.Status.StartTime != nil {
		out.StartTime = *pod.Status.StartTime
	}
	if n := linux.GetProcess().GetProcessCount(); n != nil {
		out.ProcessStats = &statsapi.ProcessStats{ProcessCount: value(n)}
	}
	for _, c := range linux.GetContainers() {
		out.Containers = append(out.Containers, containerStats(c, pod))
	}
	if linux.GetCpu() == nil {
		out.CPU = sumCPU(out.Containers)
	}
	if linux.GetMemory() == nil {
		out.Memory = sumMemory(out.Containers)
	}
	return out
}

func containerStats(c *runtimeapi.ContainerStats, pod *corev1.Pod) statsapi.ContainerStats {
	out := statsapi.ContainerStats{
		Name:   c.GetAttributes().GetMetadata().GetName(),
		CPU:    cpuStats(c.GetCpu()),
		Memory: memoryStats(c.GetMemory()),
	}
	if s := c.GetSwap(); s != nil {
		out.Swap = &statsapi.SwapStats{Time: timeOf(s.GetTimestamp()), SwapAvailableBytes: value(s.GetSwapAvailableBytes()), SwapUsageBytes: value(s.GetSwapUsageBytes())}
	}
	if u := c.GetWritableLayer(); u != nil {
		out.Rootfs = &statsapi.FsStats{Time: timeOf(u.GetTimestamp()), UsedBytes: value(u.GetUsedBytes()), InodesUsed: value(u.GetInodesUsed())}
	}
	out.StartTime = startedAt(pod, c.GetAttributes().GetId())
	return out
}

func startedAt(pod *corev1.Pod, id string) metav1.Time {
	if pod == nil {
		return metav1.Time{}
	}
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses} {
		for i := range list {
			if r := list[i].State.Running; r != nil && strings.HasSuffix(list[i].ContainerID, "://"+id) {
				return r.StartedAt
			}
		}
	}
	return metav1.Time{}
}

// podDisks adds volumes, logs, and what all of the pod takes of the node's disk.
func (p *Provider) podDisks(ctx context.Context, s *statsapi.PodStats, pod *corev1.Pod) {
	total := p.fileSystem(p.conf.RootDir)
	if total == nil {
		total = &statsapi.FsStats{Time: metav1.Now()}
	}
	total.UsedBytes, total.InodesUsed = new(uint64), new(uint64)
	for i := range s.Containers {
		c := &s.Containers[i]
		c.Logs = p.logs(ctx, s.PodRef, c.Name)
		add(total, c.Rootfs)
		add(total, c.Logs)
	}
	if pod != nil {
		usage, err := p.conf.Volumes(ctx, pod)
		if err != nil {
			p.conf.Log.Warn("volumes not measured", "pod", pod.Namespace+"/"+pod.Name, "error", err)
		}
		for _, u := range usage {
			v := statsapi.VolumeStats{Name: u.Name, FsStats: *fsStats(u, metav1.Now())}
			s.VolumeStats = append(s.VolumeStats, v)
			if !u.Memory {
				add(total, &v.FsStats)
			}
		}
	}
	s.EphemeralStorage = total
}

func (p *Provider) logs(ctx context.Context, ref statsapi.PodReference, container string) *statsapi.FsStats {
	dir := filepath.Join(p.conf.PodLogsDir, strings.Join([]string{ref.Namespace, ref.Name, ref.UID}, "_"), container)
	u, err := volume.Measure(ctx, dir)
	if err != nil {
		return nil // it has none yet
	}
	return fsStats(u, metav1.Now())
}

func add(total, part *statsapi.FsStats) {
	if part == nil {
		return
	}
	*total.UsedBytes += deref(part.UsedBytes)
	*total.InodesUsed += deref(part.InodesUsed)
}

func cpuStats(c *runtimeapi.CpuUsage) *statsapi.CPUStats {
	if c == nil {
		return nil
	}
	return &statsapi.CPUStats{
		Time: timeOf(c.GetTimestamp()), UsageNanoCores: value(c.GetUsageNanoCores()),
		UsageCoreNanoSeconds: value(c.GetUsageCoreNanoSeconds()), PSI: psi(c.GetPsi()),
	}
}

func memoryStats(m *runtimeapi.MemoryUsage) *statsapi.MemoryStats {
	if m == nil {
		return nil
	}
	return &statsapi.MemoryStats{
		Time: timeOf(m.GetTimestamp()), AvailableBytes: value(m.GetAvailableBytes()), UsageBytes: value(m.GetUsageBytes()),
		WorkingSetBytes: value(m.GetWorkingSetBytes()), RSSBytes: value(m.GetRssBytes()),
		PageFaults: value(m.GetPageFaults()), MajorPageFaults: value(m.GetMajorPageFaults()), PSI: psi(m.GetPsi()),
	}
}

func psi(p *runtimeapi.PsiStats) *statsapi.PSIStats {
	if p == nil {
		return nil
	}
	data := func(d *runtimeapi.PsiData) statsapi.PSIData {
		return statsapi.PSIData{Total: d.GetTotal(), Avg10: d.GetAvg10(), Avg60: d.GetAvg60(), Avg300: d.GetAvg300()}
	}
	return &statsapi.PSIStats{Full: data(p.GetFull()), Some: data(p.GetSome())}
}

func networkStats(n *runtimeapi.NetworkUsage) *statsapi.NetworkStats {
	if n == nil {
		return nil
	}
	one := func(i *runtimeapi.NetworkInterfaceUsage) statsapi.InterfaceStats {
		return statsapi.InterfaceStats{
			Name: i.GetName(), RxBytes: value(i.GetRxBytes()), RxErrors: value(i.GetRxErrors()),
			TxBytes: value(i.GetTxBytes()), TxErrors: value(i.GetTxErrors()),
		}
	}
	out := &statsapi.NetworkStats{Time: timeOf(n.GetTimestamp()), InterfaceStats: one(n.GetDefaultInterface())}
	for _, i := range append([]*runtimeapi.NetworkInterfaceUsage{n.GetDefaultInterface()}, n.GetInterfaces()...) {
		if i != nil {
			out.Interfaces = append(out.Interfaces, one(i))
		}
	}
	return out
}

func sumCPU(list []statsapi.ContainerStats) *statsapi.CPUStats {
	sum := &statsapi.CPUStats{UsageNanoCores: new(uint64), UsageCoreNanoSeconds: new(uint64)}
	for _, c := range list {
		if c.CPU != nil {
			sum.Time = c.CPU.Time
			*sum.UsageNanoCores += deref(c.CPU.UsageNanoCores)
			*sum.UsageCoreNanoSeconds += deref(c.CPU.UsageCoreNanoSeconds)
		}
	}
	return sum
}

func sumMemory(list []statsapi.ContainerStats) *statsapi.MemoryStats {
	sum := &statsapi.MemoryStats{UsageBytes: new(uint64), WorkingSetBytes: new(uint64), RSSBytes: new(uint64)}
	for _, c := range list {
		if c.Memory != nil {
			sum.Time = c.Memory.Time
			*sum.UsageBytes += deref(c.Memory.UsageBytes)
			*sum.WorkingSetBytes += deref(c.Memory.WorkingSetBytes)
			*sum.RSSBytes += deref(c.Memory.RSSBytes)
		}
	}
	return sum
}

func fsStats(u volume.Usage, at metav1.Time) *statsapi.FsStats {
	return &statsapi.FsStats{
		Time: at, AvailableBytes: unsigned(u.Available), CapacityBytes: unsigned(u.Capacity), UsedBytes: unsigned(u.Used),
		InodesFree: unsigned(u.InodesFree), Inodes: unsigned(u.InodesTotal), InodesUsed: unsigned(u.Inodes),
	}
}

func unsigned(n int64) *uint64 {
	u := uint64(max(n, 0))
	return &u
}

func deref(p *uint64) uint64 {
	if p == nil {
		return 0
	}
	return *p
}

func value(v *runtimeapi.UInt64Value) *uint64 {
	if v == nil {
		return nil
	}
	return &v.Value
}

// timeOf turns nanoseconds since 1970 into the time when a runtime has measured: now if it does not say, as containerd of a
// pod's network.
func timeOf(ns int64) metav1.Time {
	if ns == 0 {
		return metav1.Now()
	}
	return metav1.NewTime(time.Unix(0, ns))
}
