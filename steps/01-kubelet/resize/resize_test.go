package resize

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/observed"
)

// resources reads CPU request, CPU limit, memory request, memory limit; "" leaves one out.
func resources(cpu, cpuLimit, memory, memoryLimit string) corev1.ResourceRequirements {
	r := corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: corev1.ResourceList{}}
	set := func(list corev1.ResourceList, name corev1.ResourceName, text string) {
		if text != "" {
			list[name] = resource.MustParse(text)
		}
	}
	set(r.Requests, corev1.ResourceCPU, cpu)
	set(r.Limits, corev1.ResourceCPU, cpuLimit)
	set(r.Requests, corev1.ResourceMemory, memory)
	set(r.Limits, corev1.ResourceMemory, memoryLimit)
	return r
}

func podOf(r corev1.ResourceRequirements) *corev1.Pod {
	return &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Resources: r}}}}
}

func TestGrant(t *testing.T) {
	had := resources("100m", "200m", "32Mi", "64Mi")
	status := corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "app", AllocatedResources: had.Requests, Resources: &had}}}
	for name, c := range map[string]struct {
		status  corev1.PodStatus
		wants   corev1.ResourceRequirements
		refused string
		got     corev1.ResourceRequirements
		reason  string // of the condition
	}{
		"new":                    {corev1.PodStatus{}, had, "x", had, ""},
		"as it was":              {status, had, "x", had, ""},
		"larger, and it fits":    {status, resources("200m", "400m", "64Mi", "96Mi"), "", resources("200m", "400m", "64Mi", "96Mi"), ""},
		"too large":              {status, resources("9", "9", "64Mi", "96Mi"), "Infeasible", had, "Infeasible"},
		"memory request, no fit": {status, resources("100m", "200m", "64Mi", "64Mi"), "Deferred", had, "Deferred"},
	} {
		t.Run(name, func(t *testing.T) {
			got, pending := Grant(podOf(c.wants), nil, c.status, func(*corev1.Pod) (string, string) { return c.refused, "why" })
			if r := got.Spec.Containers[0].Resources; !equality.Semantic.DeepEqual(r, c.got) {
				t.Errorf("got %v, want %v", r, c.got)
			}
			if (pending == nil) != (c.reason == "") || pending != nil && (pending.Reason != c.reason || pending.Type != corev1.PodResizePending) {
				t.Errorf("got %+v, want %q", pending, c.reason)
			}
		})
	}
	limited := status.DeepCopy()
	limited.ContainerStatuses[0].Resources.Limits = nil
	got, _ := Grant(podOf(had), nil, *limited, func(*corev1.Pod) (string, string) { return "Deferred", "" })
	if r := got.Spec.Containers[0].Resources; len(r.Limits) != 0 {
		t.Errorf("limits that there were not: got %v", r.Limits)
	}
}

// A container that waits to be made has nothing in the status, and yet was granted something.
func TestGrantOfAContainerThatIsNotThere(t *testing.T) {
	had := podOf(resources("100m", "200m", "32Mi", "64Mi"))
	wants := podOf(resources("9", "9", "64Mi", "96Mi"))
	got, pending := Grant(wants, had, corev1.PodStatus{}, func(*corev1.Pod) (string, string) { return "Infeasible", "why" })
	if Differ(had, got) || !Differ(wants, got) || pending == nil {
		t.Errorf("got %v, %v; want what it had", got.Spec.Containers[0].Resources, pending)
	}
}

func TestPlan(t *testing.T) {
	node := criconfig.Node{CPUCFSQuota: true}
	had := &runtimeapi.LinuxContainerResources{CpuShares: 102, CpuQuota: 20_000, CpuPeriod: 100_000, MemoryLimitInBytes: 64 << 20, OomScoreAdj: 7}
	same := resources("100m", "200m", "32Mi", "64Mi")
	restart := []corev1.ContainerResizePolicy{{ResourceName: corev1.ResourceMemory, RestartPolicy: corev1.RestartContainer}}
	for name, c := range map[string]struct {
		wants   corev1.ResourceRequirements
		policy  []corev1.ContainerResizePolicy
		state   observed.State
		has     *runtimeapi.LinuxContainerResources
		changes bool
		restart bool
		actual  corev1.ResourceRequirements
	}{
		"nothing":             {same, nil, observed.Running, had, false, false, same},
		"memory request":      {resources("100m", "200m", "48Mi", "64Mi"), restart, observed.Running, had, false, false, same},
		"CPU":                 {resources("200m", "400m", "32Mi", "64Mi"), restart, observed.Running, had, true, false, same},
		"memory":              {resources("100m", "200m", "32Mi", "96Mi"), nil, observed.Running, had, true, false, same},
		"memory by restart":   {resources("100m", "200m", "32Mi", "96Mi"), restart, observed.Running, had, true, true, same},
		"ended":               {resources("1", "1", "32Mi", "96Mi"), nil, observed.Exited, had, false, false, same},
		"a runtime of old":    {resources("1", "1", "32Mi", "96Mi"), nil, observed.Running, nil, false, false, same},
		"a limit for the 1st": {resources("100m", "200m", "32Mi", "64Mi"), nil, observed.Running, &runtimeapi.LinuxContainerResources{CpuShares: 102, CpuQuota: -1, CpuPeriod: 100_000}, true, false, resources("100m", "", "32Mi", "")},
	} {
		t.Run(name, func(t *testing.T) {
			pod := podOf(c.wants)
			pod.Spec.Containers[0].ResizePolicy = c.policy
			o := &observed.Pod{Sandboxes: []observed.Sandbox{{ID: "s"}}, Containers: []observed.Container{{ID: "c", Name: "app", SandboxID: "s", State: c.state, Resources: c.has}}}
			plan := Plan(node, pod, o)
			if !c.changes {
				if len(plan) != 0 || Progress(plan, nil) != nil {
					t.Errorf("got %+v, want nothing", plan)
				}
				return
			}
			if len(plan) != 1 || plan[0].Restart != c.restart {
				t.Fatalf("got %+v", plan)
			}
			if got := Actual(plan)["app"]; !equality.Semantic.DeepEqual(got, c.actual) {
				t.Errorf("actual: got %v, want %v", got, c.actual)
			}
			if p := Progress(plan, errors.New("why")); p.Reason != corev1.PodReasonError || p.Message != "why" {
				t.Errorf("got %+v", p)
			}
		})
	}
}

func TestLower(t *testing.T) {
	a := Cgroup{Shares: 100, Quota: 20_000, Period: 100_000, Memory: 64}
	for _, c := range []struct{ to, want Cgroup }{
		{a, a},
		{Cgroup{Shares: 200, Quota: 40_000, Period: 100_000, Memory: 96}, a},
		{Cgroup{Shares: 50, Quota: 40_000, Period: 100_000, Memory: 32}, Cgroup{Shares: 50, Quota: 20_000, Period: 100_000, Memory: 32}},
		{Cgroup{Shares: 100, Memory: 64}, a}, // no quota is a larger one
	} {
		if got := a.Lower(c.to); got != c.want {
			t.Errorf("%+v: got %+v, want %+v", c.to, got, c.want)
		}
	}
	if got := (Cgroup{Shares: 2}).Lower(a); got != (Cgroup{Shares: 2, Quota: 20_000, Period: 100_000, Memory: 64}) {
		t.Errorf("a first limit shrinks: got %+v", got)
	}
}
