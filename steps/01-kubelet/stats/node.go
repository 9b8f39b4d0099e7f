package stats

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/fs"
	"github.com/opencontainers/cgroups/fs2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// node measures everything that runs on the node, by one cgroup that holds it.
type node struct {
	root string // of the cgroup, below the mount of each hierarchy

	mu   sync.Mutex // guards the fields below
	last sample
	rate uint64 // nanoseconds of CPU per second
}

type sample struct {
	at    time.Time
	total uint64 // nanoseconds of CPU
}

// stats returns what could be measured, and why the rest could not.
func (n *node) stats() (statsapi.NodeStats, error) {
	now := metav1.Now()
	var out statsapi.NodeStats
	var errs []error
	if boot, err := bootTime(); err != nil {
		errs = append(errs, err)
	} else {
		out.StartTime = metav1.NewTime(boot)
	}
	if limits, err := processes(now); err != nil {
		errs = append(errs, err)
	} else {
		out.Rlimit = limits
	}
	if network, err := network(now); err != nil {
		errs = append(errs, err)
	} else {
		out.Network = network
	}
	usage, err := n.cgroup()
	if err != nil {
		return out, errors.Join(append(errs, fmt.Errorf("cgroup %s: %w", n.root, err))...)
	}
	out.CPU = n.cpu(now, usage)
	if out.Memory, out.Swap, err = memory(now, usage); err != nil {
		errs = append(errs, err)
	}
	return out, errors.Join(errs...)
}

// cgroup reads the controllers' files, of either version.
func (n *node) cgroup() (*cgroups.Stats, error) {
	config := &cgroups.Cgroup{Resources: &cgroups.Resources{}}
	if cgroups.IsCgroup2UnifiedMode() {
		m, err := fs2.NewManager(config, filepath.Join("/sys/fs/cgroup", n.root))
		if err != nil {
			return nil, err
		}
		return m.GetStats()
	}
	paths := map[string]string{}
	for _, controller := range []string{"cpuacct", "memory"} {
		mount, err := cgroups.FindCgroupMountpoint("", controller)
		if err != nil {
			return nil, err
		}
		paths[controller] = filepath.Join(mount, n.root)
	}
	m, err := fs.NewManager(config, paths)
	if err != nil {
		return nil, err
	}
	return m.GetStats()
}

func (n *node) cpu(now metav1.Time, s *cgroups.Stats) *statsapi.CPUStats {
	total := s.CpuStats.CpuUsage.TotalUsage
	rate := n.rateOf(sample{now.Time, total})
	return &statsapi.CPUStats{Time: now, UsageCoreNanoSeconds: &total, UsageNanoCores: &rate}
}

// rateOf is the CPU usage since the last sample that is old enough to tell; 0
// the first time.
func (n *node) rateOf(s sample) uint64 {
	const enough = time.Second
	n.mu.Lock()
	defer n.mu.Unlock()
	elapsed := s.at.Sub(n.last.at)
	switch {
	case n.last.at.IsZero(), s.total < n.last.total:
		n.last = s
	case elapsed >= enough:
		n.rate = uint64(float64(s.total-n.last.total) / elapsed.Seconds())
		n.last = s
	}
	return n.rate
}

// memory follows cAdvisor: the working set is what can't be taken back easily,
// which is all but the pages of files that nobody has used of late.
func memory(now metav1.Time, s *cgroups.Stats) (*statsapi.MemoryStats, *statsapi.SwapStats, error) {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return nil, nil, err
	}
	info := meminfo(data)
	m := s.MemoryStats
	first := func(keys ...string) uint64 {
		for _, k := range keys {
			if v, ok := m.Stats[k]; ok {
				return v
			}
		}
		return 0
	}
	usage := m.Usage.Usage
	working := usage - min(usage, first("total_inactive_file", "inactive_file"))
	capacity := info["MemTotal"]
	if m.Usage.Limit > 0 {
		capacity = min(capacity, m.Usage.Limit)
	}
	available := capacity - min(capacity, working)
	rss, faults, major := first("total_rss", "anon"), first("total_pgfault", "pgfault"), first("total_pgmajfault", "pgmajfault")
	swap, swapUsed := info["SwapFree"], info["SwapTotal"]-info["SwapFree"]
	return &statsapi.MemoryStats{
		Time: now, AvailableBytes: &available, UsageBytes: &usage, WorkingSetBytes: &working,
		RSSBytes: &rss, PageFaults: &faults, MajorPageFaults: &major,
	}, &statsapi.SwapStats{Time: now, SwapAvailableBytes: &swap, SwapUsageBytes: &swapUsed}, nil
}

// meminfo reads /proc/meminfo; the values are in bytes.
func meminfo(data []byte) map[string]uint64 {
	out := map[string]uint64{}
	for line := range bytes.Lines(data) {
		name, rest, _ := strings.Cut(string(line), ":")
		if f := strings.Fields(rest); len(f) == 2 && f[1] == "kB" {
			if kb, err := strconv.ParseUint(f[0], 10, 64); err == nil {
				out[name] = kb << 10
			}
		}
	}
	return out
}

func bootTime() (time.Time, error) {
	f, err := os.Open("/proc/stat")
	if err != nil {
		return time.Time{}, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20) // the line "intr" is long
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "btime "); ok {
			seconds, err := strconv.ParseInt(text, 10, 64)
			return time.Unix(seconds, 0), err
		}
	}
	return time.Time{}, errors.Join(lines.Err(), errors.New("/proc/stat has no btime"))
}

// processes tells how many process ids are in use, and how many there can be.
func processes(now metav1.Time) (*statsapi.RlimitStats, error) {
	text, err := os.ReadFile("/proc/sys/kernel/pid_max")
	if err != nil {
		return nil, err
	}
	limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("pid_max: %w", err)
	}
	if text, err = os.ReadFile("/proc/loadavg"); err != nil {
		return nil, err
	}
	var load [3]float64
	var runnable, all int64
	if _, err := fmt.Sscanf(string(text), "%f %f %f %d/%d", &load[0], &load[1], &load[2], &runnable, &all); err != nil {
		return nil, fmt.Errorf("/proc/loadavg: %w", err)
	}
	return &statsapi.RlimitStats{Time: now, MaxPID: &limit, NumOfRunningProcesses: &all}, nil
}

// network counts what the node's interfaces have carried.
func network(now metav1.Time) (*statsapi.NetworkStats, error) {
	data, err := os.ReadFile("/proc/net/dev")
	if err != nil {
		return nil, err
	}
	out := &statsapi.NetworkStats{Time: now, Interfaces: interfaces(data)}
	routes, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return nil, err
	}
	for _, i := range out.Interfaces {
		if i.Name == defaultInterface(routes) {
			out.InterfaceStats = i
		}
	}
	return out, nil
}

// interfaces reads /proc/net/dev, without the loopback interface.
func interfaces(data []byte) []statsapi.InterfaceStats {
	var out []statsapi.InterfaceStats
	for line := range bytes.Lines(data) {
		name, rest, ok := strings.Cut(string(line), ":")
		f := strings.Fields(rest)
		if name = strings.TrimSpace(name); !ok || name == "lo" || len(f) < 16 {
			continue
		}
		n := make([]uint64, len(f))
		for i := range f {
			n[i], _ = strconv.ParseUint(f[i], 10, 64) // the kernel writes numbers
		}
		out = append(out, statsapi.InterfaceStats{Name: name, RxBytes: &n[0], RxErrors: &n[2], TxBytes: &n[8], TxErrors: &n[10]})
	}
	return out
}

// defaultInterface reads /proc/net/route: the interface of the route to 0.0.0.0/0.
func defaultInterface(routes []byte) string {
	for line := range bytes.Lines(routes) {
		if f := strings.Fields(string(line)); len(f) >= 8 && f[1] == "00000000" && f[7] == "00000000" {
			return f[0]
		}
	}
	return ""
}
