package cgroup

import (
	"github.com/opencontainers/cgroups"
	corev1 "k8s.io/api/core/v1"
)

// The kernel's units for CPU (Documentation/scheduler/sched-design-CFS.rst):
// a weight, of which a CPU's worth is 1024 and the least is 2, and microseconds
// in each period.
const (
	sharesPerCPU = 1024
	minShares    = 2
	maxShares    = 262144
	minQuota     = 1000
)

// Resources are what a cgroup allows; 0 is no limit.
type Resources struct {
	Shares int64 // weight among its siblings
	Quota  int64 // microseconds of CPU in each period
	Period int64 // microseconds
	Memory int64 // bytes
	Pids   int64
}

// podResources sums up what the pod's containers request, and what they may use
// if all of them are limited. Upstream: ResourceConfigForPod.
func (c Config) podResources(pod *corev1.Pod) Resources {
	r := Resources{Pids: max(0, c.PodPids)}
	r.Shares = min(maxShares, max(minShares, total(pod, request, corev1.ResourceCPU)*sharesPerCPU/1000))
	if allLimited(pod, corev1.ResourceCPU) && c.CPUQuota {
		r.Period = c.QuotaPeriod
		r.Quota = max(minQuota, total(pod, limit, corev1.ResourceCPU)*r.Period/1000)
	}
	r.Memory = MemoryLimit(pod)
	return r
}

// MemoryLimit is what the pod may use of memory, in bytes; 0 if one of its
// containers may use what it likes.
func MemoryLimit(pod *corev1.Pod) int64 {
	if !allLimited(pod, corev1.ResourceMemory) {
		return 0
	}
	return total(pod, limit, corev1.ResourceMemory)
}

func request(c *corev1.Container, name corev1.ResourceName) int64 {
	if _, ok := c.Resources.Requests[name]; !ok {
		return limit(c, name)
	}
	return amount(c.Resources.Requests, name)
}

func limit(c *corev1.Container, name corev1.ResourceName) int64 {
	return amount(c.Resources.Limits, name)
}

// amount is in thousandths of a CPU, and in bytes.
func amount(list corev1.ResourceList, name corev1.ResourceName) int64 {
	q := list[name]
	if name == corev1.ResourceCPU {
		return q.MilliValue()
	}
	return q.Value()
}

// total is what the pod needs at its busiest: all app containers and sidecars
// at once, or one init container with the sidecars that were started before it.
func total(pod *corev1.Pod, of func(*corev1.Container, corev1.ResourceName) int64, name corev1.ResourceName) int64 {
	sidecars, busiest := int64(0), int64(0)
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			sidecars += of(c, name)
			busiest = max(busiest, sidecars)
			continue
		}
		busiest = max(busiest, sidecars+of(c, name))
	}
	apps := sidecars
	for i := range pod.Spec.Containers {
		apps += of(&pod.Spec.Containers[i], name)
	}
	return max(busiest, apps)
}

func allLimited(pod *corev1.Pod, name corev1.ResourceName) bool {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if limit(&list[i], name) == 0 {
				return false
			}
		}
	}
	return true
}

// config is the cgroup as the library wants it. Devices are skipped: a rule for
// a pod would forbid its containers what they are allowed.
func (r Resources) config(path string) *cgroups.Cgroup {
	res := &cgroups.Resources{SkipDevices: true, Memory: r.Memory, CpuQuota: r.Quota, CpuPeriod: uint64(r.Period)}
	if r.Shares > 0 {
		res.CpuShares = uint64(r.Shares)
		res.CpuWeight = cgroups.ConvertCPUSharesToCgroupV2Value(res.CpuShares)
	}
	if r.Pids > 0 {
		res.PidsLimit = &r.Pids
	}
	return &cgroups.Cgroup{Path: path, Resources: res}
}
