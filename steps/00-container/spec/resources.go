package spec

import (
	"math"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// SetResources sets the cgroup limits of a spec. Zero means not asked for. libcontainer
// translates to the files of v1 (cpu.shares, cpu.cfs_quota_us,
// memory.limit_in_bytes) or v2 (cpu.weight, cpu.max, memory.max).
func SetResources(s *specs.Spec, r *runtimeapi.LinuxContainerResources, h Host) {
	if r == nil {
		return
	}
	out := s.Linux.Resources
	out.CPU = &specs.LinuxCPU{
		Shares: nonZero(uint64(max(r.GetCpuShares(), 0))),
		Quota:  nonZero(r.GetCpuQuota()),
		Period: nonZero(uint64(max(r.GetCpuPeriod(), 0))),
		Cpus:   r.GetCpusetCpus(),
		Mems:   r.GetCpusetMems(),
	}
	out.Memory = &specs.LinuxMemory{Limit: nonZero(r.GetMemoryLimitInBytes())}
	if h.Swap {
		out.Memory.Swap = nonZero(r.GetMemorySwapLimitInBytes())
		if out.Memory.Swap == nil && r.GetMemoryLimitInBytes() > 0 {
			out.Memory.Swap = out.Memory.Limit // the sum of both: none beyond memory
		}
	}
	// A kernel without the hugetlb controller has no huge pages to limit.
	out.HugepageLimits = nil
	for _, l := range r.GetHugepageLimits() {
		if h.HugePages {
			out.HugepageLimits = append(out.HugepageLimits, specs.LinuxHugepageLimit{Pagesize: l.GetPageSize(), Limit: l.GetLimit()})
		}
	}
	if h.CgroupV2 {
		out.Unified = r.GetUnified()
	}
}

// unlimitedFiles stands for a process that may raise its limits at will.
const unlimitedFiles = math.MaxUint64

func nonZero[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
