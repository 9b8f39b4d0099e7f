package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/cgroups"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
)

func container(cpuRequest, cpuLimit, memoryLimit string) corev1.Container {
	c := corev1.Container{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: corev1.ResourceList{}}}
	set := func(list corev1.ResourceList, name corev1.ResourceName, value string) {
		if value != "" {
			list[name] = resource.MustParse(value)
		}
	}
	set(c.Resources.Requests, corev1.ResourceCPU, cpuRequest)
	set(c.Resources.Limits, corev1.ResourceCPU, cpuLimit)
	set(c.Resources.Limits, corev1.ResourceMemory, memoryLimit)
	return c
}

func podOf(uid string, init []corev1.Container, apps ...corev1.Container) *corev1.Pod {
	pod := &corev1.Pod{}
	pod.UID = types.UID(uid)
	pod.Spec.InitContainers, pod.Spec.Containers = init, apps
	return pod
}

func sidecar(c corev1.Container) corev1.Container {
	always := corev1.ContainerRestartPolicyAlways
	c.RestartPolicy = &always
	return c
}

func TestPodResources(t *testing.T) {
	conf := Config{CPUQuota: true, QuotaPeriod: 100_000, PodPids: 50}
	for _, c := range []struct {
		name string
		pod  *corev1.Pod
		want Resources
	}{
		{"nothing asked for", podOf("", nil, container("", "", "")), Resources{Shares: 2, Pids: 50}},
		{"containers add up", podOf("", nil, container("250m", "500m", "64Mi"), container("250m", "1", "64Mi")),
			Resources{Shares: 512, Quota: 150_000, Period: 100_000, Memory: 128 << 20, Pids: 50}},
		{"one without a limit frees the pod", podOf("", nil, container("250m", "500m", "64Mi"), container("", "", "")),
			Resources{Shares: 256, Pids: 50}},
		{"a limit is a request too", podOf("", nil, container("", "2", "")),
			Resources{Shares: 2048, Quota: 200_000, Period: 100_000, Pids: 50}},
		{"the largest init container counts", podOf("", []corev1.Container{container("3", "", ""), container("1", "", "")}, container("500m", "", "")),
			Resources{Shares: 3072, Pids: 50}},
		{"a sidecar stays", podOf("", []corev1.Container{sidecar(container("1", "", "")), container("1", "", "")}, container("1500m", "", "")),
			Resources{Shares: 2560, Pids: 50}},
		{"never less than the kernel takes", podOf("", nil, container("1m", "1m", "")),
			Resources{Shares: 2, Quota: 1000, Period: 100_000, Pids: 50}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := conf.podResources(c.pod); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// needsRoot skips a test that makes cgroups.
func needsRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("makes cgroups: run as root")
	}
}

func TestTreeOnThisKernel(t *testing.T) {
	needsRoot(t)
	root := fmt.Sprintf("groundup-test-cgroup-%d", os.Getpid())
	t.Cleanup(func() {
		for _, p := range []string{"kubepods/burstable", "kubepods/besteffort", "kubepods", ""} {
			if err := remove("/" + filepath.Join(root, p)); err != nil {
				t.Error(err)
			}
		}
	})
	m, err := New(Config{Root: root, CPUQuota: true, PodPids: 77,
		Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("1Gi")}})
	if err != nil {
		t.Fatal(err)
	}
	pod := podOf("1234", nil, container("250m", "500m", "64Mi"))
	path, err := m.Apply(pod)
	if err != nil {
		t.Fatal(err)
	}
	if want := "/" + root + "/kubepods/burstable/pod1234"; path != want {
		t.Errorf("got path %s, want %s", path, want)
	}
	for _, f := range []struct{ v1, v2, dir, want1, want2 string }{
		{"cpu/cpu.shares", "cpu.weight", path, "256", "10"},
		{"cpu/cpu.cfs_quota_us", "cpu.max", path, "50000", "50000 100000"},
		{"memory/memory.limit_in_bytes", "memory.max", path, "67108864", "67108864"},
		{"pids/pids.max", "pids.max", path, "77", "77"},
		{"cpu/cpu.shares", "cpu.weight", "/" + root + "/kubepods/burstable", "256", "10"},
		{"cpu/cpu.shares", "cpu.weight", "/" + root + "/kubepods", "2048", "79"},
	} {
		file, want := "", f.want1
		if controller, name, _ := strings.Cut(f.v1, "/"); cgroups.IsCgroup2UnifiedMode() {
			file, want = filepath.Join("/sys/fs/cgroup", f.dir, f.v2), f.want2
		} else {
			file = filepath.Join("/sys/fs/cgroup", controller, f.dir, name)
		}
		data, err := os.ReadFile(file)
		if got := strings.TrimSpace(string(data)); err != nil || got != want && !strings.HasSuffix(file, "cpu.weight") {
			t.Errorf("%s: got %q (error %v), want %q", file, got, err, want)
		}
	}
	if _, err := m.Apply(podOf("orphan", nil, container("", "", ""))); err != nil {
		t.Fatal(err)
	}
	again, err := New(m.conf) // a kubelet that does not remember
	if err != nil {
		t.Fatal(err)
	}
	if err := again.RemoveOrphans(func(uid types.UID) bool { return uid == "1234" }); err != nil {
		t.Fatal(err)
	}
	if exists("/" + root + "/kubepods/besteffort/podorphan") {
		t.Error("the orphan's cgroup is still there")
	}
	if !exists(path) {
		t.Error("the pod that is wanted has lost its cgroup")
	}
	for range 2 { // the second time there is nothing left to remove
		if err := m.Remove("1234"); err != nil {
			t.Fatal(err)
		}
	}
	if exists(path) {
		t.Error("the pod's cgroup is still there")
	}
}
