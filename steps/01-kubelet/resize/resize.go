// Package resize gives a running pod other resources without starting it again.
//
// There are three sets of resources then, and the distance between each two of
// them is a condition of the pod's status:
//
//	what the spec asks for ──PodResizePending──▶ what the node has granted ──PodResizeInProgress──▶ what the cgroups say
//
// A change of the spec is granted if it fits on the node beside the other pods,
// else the pod goes on with what it had ([Grant]). What was granted is then carried out
// by the runtime, container by container, or by a new start of a container whose
// resizePolicy wants that ([Plan]). Nothing is kept for it on the node: what a
// pod had is in its status, and what its cgroups say the runtime knows.
//
// Upstream: pkg/kubelet/allocation/allocation_manager.go, and
// kuberuntime_manager.go, computePodResizeAction. KEP-1287.
package resize

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/observed"
)

// Grant returns the pod with the resources that it may have now. That is the pod
// itself, unless it has been given others, and refused says of what it asks for why it
// can't have it: then it is a copy with what it had, and pending is the condition that says
// so. What it had is in the pod that was granted last; a kubelet that has just started has
// none, and takes it from the status.
func Grant(pod, last *corev1.Pod, status corev1.PodStatus, refused func(*corev1.Pod) (reason, message string)) (granted *corev1.Pod, pending *corev1.PodCondition) {
	had := before(pod, status)
	if last != nil {
		had = having(pod, last)
	}
	if equality.Semantic.DeepEqual(had.Spec, pod.Spec) {
		return pod, nil
	}
	reason, message := refused(pod)
	if reason == "" {
		return pod, nil
	}
	return had, &corev1.PodCondition{Type: corev1.PodResizePending, Status: corev1.ConditionTrue, Reason: reason, Message: message}
}

// having is the pod with the resources of another one of its versions.
func having(pod, other *corev1.Pod) *corev1.Pod {
	pod = pod.DeepCopy()
	for _, lists := range [][2][]corev1.Container{{pod.Spec.InitContainers, other.Spec.InitContainers}, {pod.Spec.Containers, other.Spec.Containers}} {
		for i := range lists[0] {
			c := &lists[0][i]
			if at := slices.IndexFunc(lists[1], func(o corev1.Container) bool { return o.Name == c.Name }); at >= 0 {
				c.Resources.Requests = keep(c.Resources.Requests, lists[1][at].Resources.Requests)
				c.Resources.Limits = keep(c.Resources.Limits, lists[1][at].Resources.Limits)
			}
		}
	}
	return pod
}

// Differ says whether two versions of a pod have different resources.
func Differ(a, b *corev1.Pod) bool { return !equality.Semantic.DeepEqual(having(b, a).Spec, b.Spec) }

// before is the pod with what its status says that it was given: the requests
// that were allocated, and the limits that are in force.
func before(pod *corev1.Pod, status corev1.PodStatus) *corev1.Pod {
	pod = pod.DeepCopy()
	for _, part := range []struct {
		specs    []corev1.Container
		statuses []corev1.ContainerStatus
	}{{pod.Spec.InitContainers, status.InitContainerStatuses}, {pod.Spec.Containers, status.ContainerStatuses}} {
		for i := range part.specs {
			c := &part.specs[i]
			at := slices.IndexFunc(part.statuses, func(s corev1.ContainerStatus) bool { return s.Name == c.Name })
			if at < 0 || part.statuses[at].Resources == nil {
				continue
			}
			c.Resources.Requests = keep(c.Resources.Requests, part.statuses[at].AllocatedResources)
			c.Resources.Limits = keep(c.Resources.Limits, part.statuses[at].Resources.Limits)
		}
	}
	return pod
}

// resizable are the resources that can be changed in a running pod.
var resizable = []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory}

func keep(list, had corev1.ResourceList) corev1.ResourceList {
	for _, name := range resizable {
		if q, ok := had[name]; ok {
			list = with(list, name, &q)
		} else {
			list = with(list, name, nil)
		}
	}
	return list
}

// Cgroup is what the kernel is told of CPU and memory, in the CRI's units. 0 is no limit.
type Cgroup struct{ Shares, Quota, Period, Memory int64 }

// Linux is the request to the runtime. What is 0 in it stays as it is: a limit can't
// be taken back from a running pod.
func (c Cgroup) Linux() *runtimeapi.LinuxContainerResources {
	return &runtimeapi.LinuxContainerResources{CpuShares: c.Shares, CpuQuota: c.Quota, CpuPeriod: c.Period, MemoryLimitInBytes: c.Memory}
}

// Lower is the smaller of each limit. A pod that shrinks takes it first, then its own
// cgroup shrinks, and what grows comes last: so no container has more than its pod.
func (c Cgroup) Lower(d Cgroup) Cgroup {
	low := c
	low.Shares = min(c.Shares, d.Shares)
	low.Memory = lower(c.Memory, d.Memory)
	if low.Quota = lower(c.Quota, d.Quota); low.Quota != c.Quota {
		low.Period = d.Period
	}
	return low
}

func lower(a, b int64) int64 {
	if a <= 0 || b > 0 && b < a {
		return b
	}
	return a
}

// A Change is a running container whose cgroup is not as it should be.
type Change struct {
	Container  observed.Container
	Spec       *corev1.Container
	Have, Want Cgroup
	Restart    bool // it does not take it while it runs, by its own policy
}

// Plan lists what has to be changed. The pod is as it was granted. Nothing is planned for
// a container of which the runtime does not tell what it has.
func Plan(node criconfig.Node, pod *corev1.Pod, o *observed.Pod) []Change {
	var plan []Change
	for _, specs := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range specs {
			c := &specs[i]
			got := o.Active(c.Name)
			if got == nil || got.State != observed.Running || got.Resources == nil {
				continue
			}
			want, err := criconfig.Resources(node, pod, c)
			if err != nil {
				continue // it could not have been started either
			}
			if ch := (Change{Container: *got, Spec: c, Have: cgroupOf(got.Resources), Want: cgroupOf(want)}); ch.Have != ch.Want {
				ch.Restart = restarts(c, ch)
				plan = append(plan, ch)
			}
		}
	}
	return plan
}

// cgroupOf forgets the period where there is no quota.
func cgroupOf(r *runtimeapi.LinuxContainerResources) Cgroup {
	c := Cgroup{Shares: r.CpuShares, Quota: max(r.CpuQuota, 0), Period: r.CpuPeriod, Memory: max(r.MemoryLimitInBytes, 0)}
	if c.Quota == 0 {
		c.Period = 0
	}
	return c
}

func restarts(c *corev1.Container, ch Change) bool {
	return slices.ContainsFunc(c.ResizePolicy, func(p corev1.ContainerResizePolicy) bool {
		changes := ch.Have.Memory != ch.Want.Memory
		if p.ResourceName == corev1.ResourceCPU {
			changes = ch.Have.Shares != ch.Want.Shares || ch.Have.Quota != ch.Want.Quota
		}
		return changes && p.RestartPolicy == corev1.RestartContainer
	})
}

// Actual is what the changed containers have for the time being, by name. A memory request
// is nothing to a cgroup: it is what was granted.
func Actual(plan []Change) map[string]corev1.ResourceRequirements {
	all := map[string]corev1.ResourceRequirements{}
	for _, ch := range plan {
		r := *ch.Spec.Resources.DeepCopy()
		if ch.Have.Shares != ch.Want.Shares {
			r.Requests = with(r.Requests, corev1.ResourceCPU, resource.NewMilliQuantity((ch.Have.Shares*1000+sharesPerCPU-1)/sharesPerCPU, resource.DecimalSI))
		}
		if ch.Have.Quota != ch.Want.Quota {
			r.Limits = with(r.Limits, corev1.ResourceCPU, milliCPU(ch.Have))
		}
		if ch.Have.Memory != ch.Want.Memory {
			r.Limits = with(r.Limits, corev1.ResourceMemory, bytes(ch.Have.Memory))
		}
		all[ch.Container.Name] = r
	}
	return all
}

// sharesPerCPU is the weight of a whole CPU.
const sharesPerCPU = 1024

func milliCPU(c Cgroup) *resource.Quantity {
	if c.Quota == 0 || c.Period == 0 {
		return nil
	}
	return resource.NewMilliQuantity(c.Quota*1000/c.Period, resource.DecimalSI)
}

func bytes(n int64) *resource.Quantity {
	if n == 0 {
		return nil
	}
	return resource.NewQuantity(n, resource.BinarySI)
}

// with returns the list with another quantity, or without one.
func with(list corev1.ResourceList, name corev1.ResourceName, q *resource.Quantity) corev1.ResourceList {
	list = maps.Clone(list)
	if q == nil {
		delete(list, name)
		return list
	}
	if list == nil {
		list = corev1.ResourceList{}
	}
	list[name] = *q
	return list
}

// Progress is the condition while there is something left to change; failed is why the
// last try did not succeed, nil if there was none. It is nil when all is done.
func Progress(plan []Change, failed error) *corev1.PodCondition {
	if len(plan) == 0 {
		return nil
	}
	c := &corev1.PodCondition{Type: corev1.PodResizeInProgress, Status: corev1.ConditionTrue}
	if failed != nil {
		c.Reason, c.Message = corev1.PodReasonError, failed.Error()
	}
	return c
}
