package criconfig

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// The kernel's bounds and units for CPU (cgroup-v1/cpu.rst).
const (
	sharesPerCPU       = 1024
	minShares          = 2
	maxShares          = 262144
	defaultQuotaPeriod = 100_000 // microseconds
	minQuota           = 1_000   // microseconds
)

// Resources turns requests and limits into cgroup settings. A CPU
// request is a weight against the neighbours, a CPU limit a number of
// microseconds in each period, a memory limit a hard bound. A memory request
// is nothing to a cgroup: the scheduler and the OOM score make use of it.
func Resources(node Node, pod *corev1.Pod, c *corev1.Container) (*runtimeapi.LinuxContainerResources, error) {
	cpuLimit, memoryLimit := c.Resources.Limits[corev1.ResourceCPU], c.Resources.Limits[corev1.ResourceMemory]
	r := &runtimeapi.LinuxContainerResources{
		CpuShares:          shares(request(c, corev1.ResourceCPU)),
		MemoryLimitInBytes: memoryLimit.Value(),
		OomScoreAdj:        oomScoreAdj(node, pod, c),
	}
	if !cpuLimit.IsZero() && node.CPUCFSQuota {
		r.CpuPeriod = node.CPUCFSQuotaPeriod
		if r.CpuPeriod == 0 {
			r.CpuPeriod = defaultQuotaPeriod
		}
		r.CpuQuota = max(cpuLimit.MilliValue()*r.CpuPeriod/1000, minQuota)
	}
	if node.CgroupV2 {
		r.Unified = map[string]string{"memory.oom.group": "1"} // all processes of a container die together
		if node.SwapAccounting {
			r.Unified["memory.swap.max"] = "0"
		}
	}
	var err error
	r.HugepageLimits, err = hugepages(c)
	return r, err
}

func shares(cpu resource.Quantity) int64 {
	return min(max(cpu.MilliValue()*sharesPerCPU/1000, minShares), maxShares)
}

// hugepages are limits by page size, which the kernel spells "2MB".
func hugepages(c *corev1.Container) ([]*runtimeapi.HugepageLimit, error) {
	var out []*runtimeapi.HugepageLimit
	for _, name := range slices.Sorted(maps.Keys(c.Resources.Limits)) {
		text, ok := strings.CutPrefix(string(name), corev1.ResourceHugePagesPrefix)
		if !ok {
			continue
		}
		size, err := resource.ParseQuantity(text)
		if err != nil || size.Value() <= 0 {
			return nil, fmt.Errorf("container %q: %s: not a page size", c.Name, name)
		}
		limit := c.Resources.Limits[name]
		out = append(out, &runtimeapi.HugepageLimit{PageSize: pageSize(size.Value()), Limit: uint64(limit.Value())})
	}
	return out, nil
}

// pageSize names a size as the files of the hugetlb controller do.
func pageSize(bytes int64) string {
	units := []string{"B", "KB", "MB", "GB"}
	i := 0
	for ; i < len(units)-1 && bytes%1024 == 0; i++ {
		bytes /= 1024
	}
	return fmt.Sprintf("%d%s", bytes, units[i])
}
