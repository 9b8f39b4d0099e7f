package stats

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
)

// fake is a runtime with numbers. Without podNumbers it is an older one, which
// has them of containers only.
type fake struct {
	podNumbers bool
	ended      bool // one of its sandboxes, which it fails to measure
	err        error
	dir        string
}

func u64(n uint64) *runtimeapi.UInt64Value { return &runtimeapi.UInt64Value{Value: n} }

func containerNumbers(name string) *runtimeapi.ContainerStats {
	return &runtimeapi.ContainerStats{
		Attributes: &runtimeapi.ContainerAttributes{
			Id: "id-" + name, Metadata: &runtimeapi.ContainerMetadata{Name: name},
			Labels: map[string]string{"io.kubernetes.pod.uid": "1234", "io.kubernetes.pod.name": "web", "io.kubernetes.pod.namespace": "default"},
		},
		Cpu:           &runtimeapi.CpuUsage{Timestamp: 1e9, UsageCoreNanoSeconds: u64(3e9), UsageNanoCores: u64(5)},
		Memory:        &runtimeapi.MemoryUsage{Timestamp: 1e9, WorkingSetBytes: u64(100), UsageBytes: u64(120)},
		WritableLayer: &runtimeapi.FilesystemUsage{UsedBytes: u64(1000), InodesUsed: u64(2)},
	}
}

func (f *fake) ListPodSandboxStats(context.Context, *runtimeapi.ListPodSandboxStatsRequest) (*runtimeapi.ListPodSandboxStatsResponse, error) {
	switch {
	case f.err != nil:
		return nil, f.err
	case !f.podNumbers:
		return nil, status.Error(codes.Unimplemented, "no numbers of pods")
	case f.ended:
		return nil, errors.New("cgroup deleted")
	}
	return &runtimeapi.ListPodSandboxStatsResponse{Stats: []*runtimeapi.PodSandboxStats{podNumbers()}}, nil
}

func (f *fake) PodSandboxStats(_ context.Context, r *runtimeapi.PodSandboxStatsRequest) (*runtimeapi.PodSandboxStatsResponse, error) {
	if r.PodSandboxId != "s" {
		return nil, errors.New("cgroup deleted")
	}
	return &runtimeapi.PodSandboxStatsResponse{Stats: podNumbers()}, f.err
}

// ListPodSandbox has one sandbox that ends while it is measured.
func (f *fake) ListPodSandbox(context.Context, *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	return &runtimeapi.ListPodSandboxResponse{Items: []*runtimeapi.PodSandbox{{Id: "s"}, {Id: "ending"}}}, f.err
}

// ListContainers has them all but those that have ended.
func (f *fake) ListContainers(context.Context, *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	return &runtimeapi.ListContainersResponse{Containers: []*runtimeapi.Container{{Id: "id-a"}, {Id: "id-b"}, {Id: "id-x"}}}, f.err
}

func podNumbers() *runtimeapi.PodSandboxStats {
	ended := containerNumbers("init")
	ended.Cpu, ended.Memory = nil, nil
	return &runtimeapi.PodSandboxStats{
		Attributes: &runtimeapi.PodSandboxAttributes{Metadata: &runtimeapi.PodSandboxMetadata{Name: "web", Namespace: "default", Uid: "1234"}},
		Linux: &runtimeapi.LinuxPodSandboxStats{
			Cpu:        &runtimeapi.CpuUsage{UsageCoreNanoSeconds: u64(7e9)},
			Memory:     &runtimeapi.MemoryUsage{WorkingSetBytes: u64(250)},
			Network:    &runtimeapi.NetworkUsage{DefaultInterface: &runtimeapi.NetworkInterfaceUsage{Name: "eth0", RxBytes: u64(11)}},
			Process:    &runtimeapi.ProcessUsage{ProcessCount: u64(3)},
			Containers: []*runtimeapi.ContainerStats{ended, containerNumbers("a"), containerNumbers("b")},
		},
	}
}

func (f *fake) ListContainerStats(context.Context, *runtimeapi.ListContainerStatsRequest) (*runtimeapi.ListContainerStatsResponse, error) {
	stranger := containerNumbers("x")
	stranger.Attributes.Labels = nil
	return &runtimeapi.ListContainerStatsResponse{Stats: []*runtimeapi.ContainerStats{containerNumbers("a"), stranger, containerNumbers("b")}}, f.err
}

func (f *fake) ImageFsInfo(context.Context, *runtimeapi.ImageFsInfoRequest) (*runtimeapi.ImageFsInfoResponse, error) {
	return &runtimeapi.ImageFsInfoResponse{ImageFilesystems: []*runtimeapi.FilesystemUsage{{
		FsId: &runtimeapi.FilesystemIdentifier{Mountpoint: f.dir}, UsedBytes: u64(12345), InodesUsed: u64(6),
	}}}, nil
}

func provider(t *testing.T, f *fake) *Provider {
	t.Helper()
	f.dir = t.TempDir()
	logs := filepath.Join(f.dir, "logs")
	if err := os.MkdirAll(filepath.Join(logs, "default_web_1234/a"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(logs, "default_web_1234/a/0.log"), make([]byte, 5000), 0o644); err != nil {
		t.Fatal(err)
	}
	started := metav1.NewTime(time.Unix(1000, 0))
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", UID: "1234"}}
	pod.Status.StartTime = &started
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		ContainerID: "groundup://id-a", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(time.Unix(2000, 0))}},
	}}
	return New(Config{
		NodeName: "node-1", Runtime: f, Images: f, CgroupRoot: "/", RootDir: f.dir, PodLogsDir: logs,
		Pods: func() []*corev1.Pod { return []*corev1.Pod{pod} },
		Volumes: func(context.Context, *corev1.Pod) ([]volume.Usage, error) {
			return []volume.Usage{{Name: "disk", Used: 100, Inodes: 1}, {Name: "memory", Used: 1 << 30, Memory: true}}, nil
		},
	})
}

func summary(t *testing.T, f *fake, only bool) *statsapi.Summary {
	t.Helper()
	s, err := provider(t, f).Summary(t.Context(), only)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSummaryOfAPod(t *testing.T) {
	s := summary(t, &fake{podNumbers: true}, false)
	if len(s.Pods) != 1 || len(s.Pods[0].Containers) != 2 || len(s.Pods[0].VolumeStats) != 2 {
		t.Fatalf("got %+v", s.Pods)
	}
	p, a, b := s.Pods[0], s.Pods[0].Containers[0], s.Pods[0].Containers[1]
	logs := deref(a.Logs.UsedBytes)
	if logs < 5000 || b.Logs != nil {
		t.Errorf("logs: got %d and %+v, want at least 5000 and none", logs, b.Logs)
	}
	for what, got := range map[string][2]uint64{
		"pod cpu":           {deref(p.CPU.UsageCoreNanoSeconds), 7e9},
		"pod memory":        {deref(p.Memory.WorkingSetBytes), 250},
		"processes":         {deref(p.ProcessStats.ProcessCount), 3},
		"received":          {deref(p.Network.RxBytes), 11},
		"container cpu":     {deref(a.CPU.UsageCoreNanoSeconds), 3e9},
		"root file system":  {deref(a.Rootfs.UsedBytes), 1000},
		"started":           {uint64(a.StartTime.Unix()), 2000},
		"pod started":       {uint64(p.StartTime.Unix()), 1000},
		"ephemeral storage": {deref(p.EphemeralStorage.UsedBytes), 2*1000 + logs + 100}, // not the volume in memory
	} {
		if got[0] != got[1] {
			t.Errorf("%s: got %d, want %d", what, got[0], got[1])
		}
	}
}

func TestARuntimeWithoutNumbersOfPods(t *testing.T) {
	p := summary(t, &fake{}, false).Pods
	if len(p) != 1 || len(p[0].Containers) != 2 {
		t.Fatalf("got %+v, want the pod without the container that is no pod's", p)
	}
	if cpu, memory := deref(p[0].CPU.UsageCoreNanoSeconds), deref(p[0].Memory.WorkingSetBytes); cpu != 6e9 || memory != 200 {
		t.Errorf("got %d and %d, want the sums of the containers", cpu, memory)
	}
}

func TestARuntimeThatFailsToMeasureOnePodOfMany(t *testing.T) {
	p := summary(t, &fake{podNumbers: true, ended: true}, false).Pods
	if len(p) != 1 || len(p[0].Containers) != 2 || p[0].Network == nil {
		t.Fatalf("got %+v, want the numbers of the other pod", p)
	}
	if since := time.Since(p[0].Network.Time.Time); since > time.Minute {
		t.Errorf("a network without a time was measured %v ago, want now", since)
	}
}

func TestOnlyCPUAndMemory(t *testing.T) {
	s := summary(t, &fake{podNumbers: true}, true)
	p := s.Pods[0]
	if s.Node.Fs != nil || s.Node.Runtime != nil || p.Network != nil || p.VolumeStats != nil || p.EphemeralStorage != nil || p.Containers[0].Rootfs != nil {
		t.Errorf("got %+v", s)
	}
	if p.CPU == nil || p.Memory == nil {
		t.Errorf("got %+v", p)
	}
}

func TestARuntimeThatIsDown(t *testing.T) {
	down := errors.New("connection refused")
	if _, err := provider(t, &fake{err: down}).Summary(t.Context(), false); !errors.Is(err, down) {
		t.Errorf("got %v", err)
	}
}

func TestTheNodeIsMeasured(t *testing.T) {
	p := provider(t, &fake{podNumbers: true})
	n, err := p.node.stats()
	if err != nil {
		t.Fatal(err)
	}
	p.disks(t.Context(), &n)
	for what, v := range map[string]*uint64{
		"cpu": n.CPU.UsageCoreNanoSeconds, "memory usage": n.Memory.UsageBytes, "working set": n.Memory.WorkingSetBytes, "available": n.Memory.AvailableBytes,
		"capacity": n.Fs.CapacityBytes, "used": n.Fs.UsedBytes, "image capacity": n.Runtime.ImageFs.CapacityBytes,
	} {
		if deref(v) == 0 {
			t.Errorf("%s: got nothing", what)
		}
	}
	if deref(n.Runtime.ImageFs.UsedBytes) != 12345 {
		t.Errorf("images: got %+v", n.Runtime.ImageFs)
	}
	if *n.Rlimit.MaxPID == 0 || *n.Rlimit.NumOfRunningProcesses == 0 {
		t.Errorf("processes: got %+v", n.Rlimit)
	}
	if age := time.Since(n.StartTime.Time); age <= 0 {
		t.Errorf("boot time: got %v", n.StartTime)
	}
	if _, err := json.Marshal(n); err != nil {
		t.Error(err)
	}
}

func TestRate(t *testing.T) {
	n := &node{}
	at := func(ms int64, total uint64) uint64 { return n.rateOf(sample{time.UnixMilli(ms), total}) }
	var got []uint64
	for _, s := range [][2]int64{{1000, 100}, {1500, 1000}, {3000, 2100}, {3500, 9000}, {5000, 100}, {7000, 300}} {
		got = append(got, at(s[0], uint64(s[1])))
	}
	// First, too soon, 2000 in 2s, too soon, counter went back, 200 in 2s.
	if want := []uint64{0, 0, 1000, 1000, 1000, 100}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestProcFiles(t *testing.T) {
	info := meminfo([]byte("MemTotal:       16 kB\nHugePages_Total:       0\nSwapFree:    1 kB\n"))
	if info["MemTotal"] != 16<<10 || info["SwapFree"] != 1<<10 || len(info) != 2 {
		t.Errorf("meminfo: got %v", info)
	}
	list := interfaces([]byte(`Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1
  eth0:  10 2 3 0 0 0 0 0 40 5 6 0 0 0 0 0
`))
	if len(list) != 1 || list[0].Name != "eth0" || *list[0].RxBytes != 10 || *list[0].RxErrors != 3 || *list[0].TxBytes != 40 || *list[0].TxErrors != 6 {
		t.Errorf("interfaces: got %+v", list)
	}
	routes := "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
		"eth1\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\neth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
	if got := defaultInterface([]byte(routes)); got != "eth0" {
		t.Errorf("default interface: got %q, want eth0", got)
	}
}

func TestCollector(t *testing.T) {
	for _, tt := range []struct {
		runtime *fake
		want    []string
	}{
		{&fake{podNumbers: true}, []string{
			"container_cpu_usage_seconds_total", "container_memory_working_set_bytes", "container_start_time_seconds",
			"node_cpu_usage_seconds_total", "node_memory_working_set_bytes", "node_swap_usage_bytes",
			"pod_cpu_usage_seconds_total", "pod_memory_working_set_bytes", "resource_scrape_error",
		}},
		{&fake{err: errors.New("down")}, []string{"resource_scrape_error"}},
	} {
		r := prometheus.NewPedanticRegistry()
		r.MustRegister(provider(t, tt.runtime).Collector())
		families, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range families {
			got = append(got, f.GetName())
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("got %q, want %q", got, tt.want)
		}
		for _, f := range families {
			if f.GetName() == "resource_scrape_error" && (f.Metric[0].GetGauge().GetValue() == 1) != (tt.runtime.err != nil) {
				t.Errorf("got %v", f)
			}
			if f.GetName() == "pod_cpu_usage_seconds_total" && f.Metric[0].GetCounter().GetValue() != 7 {
				t.Errorf("got %v, want 7 seconds", f)
			}
		}
	}
}
