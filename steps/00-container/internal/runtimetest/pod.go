package runtimetest

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/cri"
)

// withoutCancel is a context for cleaning up, when the test's is done.
func withoutCancel(t testing.TB) context.Context { return context.WithoutCancel(t.Context()) }

// A Pod is a sandbox to run containers in.
type Pod struct {
	t      testing.TB
	s      *cri.Service
	ID     string
	Config *runtimeapi.PodSandboxConfig
}

// PodOption changes a sandbox's config before it is run.
type PodOption func(*runtimeapi.PodSandboxConfig)

// RunPod runs a sandbox.
func RunPod(t testing.TB, s *cri.Service, options ...PodOption) *Pod {
	t.Helper()
	config := &runtimeapi.PodSandboxConfig{
		Metadata:     &runtimeapi.PodSandboxMetadata{Name: "pod", Namespace: "test", Uid: "uid", Attempt: uint32(time.Now().UnixNano())},
		Hostname:     "pod",
		LogDirectory: t.TempDir(),
		Linux: &runtimeapi.LinuxPodSandboxConfig{SecurityContext: &runtimeapi.LinuxSandboxSecurityContext{
			NamespaceOptions: &runtimeapi.NamespaceOption{Pid: runtimeapi.NamespaceMode_CONTAINER},
		}},
	}
	for _, o := range options {
		o(config)
	}
	resp, err := s.RunPodSandbox(t.Context(), &runtimeapi.RunPodSandboxRequest{Config: config})
	if err != nil {
		t.Fatal(err)
	}
	return &Pod{t, s, resp.PodSandboxId, config}
}

// Create creates a container with the guest's arguments.
func (p *Pod) Create(name string, args []string, options ...func(*runtimeapi.ContainerConfig)) string {
	p.t.Helper()
	config := &runtimeapi.ContainerConfig{
		Metadata: &runtimeapi.ContainerMetadata{Name: name},
		Image:    &runtimeapi.ImageSpec{Image: Image},
		Args:     args,
		LogPath:  name + ".log",
		Linux: &runtimeapi.LinuxContainerConfig{
			Resources: &runtimeapi.LinuxContainerResources{},
			SecurityContext: &runtimeapi.LinuxContainerSecurityContext{
				NamespaceOptions: p.Config.GetLinux().GetSecurityContext().GetNamespaceOptions(),
			},
		},
	}
	for _, o := range options {
		o(config)
	}
	resp, err := p.s.CreateContainer(p.t.Context(), &runtimeapi.CreateContainerRequest{PodSandboxId: p.ID, Config: config, SandboxConfig: p.Config})
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.ContainerId
}

// Run creates and starts a container.
func (p *Pod) Run(name string, args []string, options ...func(*runtimeapi.ContainerConfig)) string {
	p.t.Helper()
	id := p.Create(name, args, options...)
	if _, err := p.s.StartContainer(p.t.Context(), &runtimeapi.StartContainerRequest{ContainerId: id}); err != nil {
		p.t.Fatal(err)
	}
	return id
}

// Wait waits until a container has ended.
func Wait(t testing.TB, s *cri.Service, id string) *runtimeapi.ContainerStatus {
	t.Helper()
	var st *runtimeapi.ContainerStatus
	Eventually(t, "container "+id+" ends", func() bool {
		st = Status(t, s, id)
		return st.State == runtimeapi.ContainerState_CONTAINER_EXITED
	})
	return st
}

// Status is a container's status.
func Status(t testing.TB, s *cri.Service, id string) *runtimeapi.ContainerStatus {
	t.Helper()
	resp, err := s.ContainerStatus(t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: id})
	if err != nil {
		t.Fatal(err)
	}
	return resp.Status
}

// Eventually polls until ok returns true.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	limit := patience(30 * time.Second)
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %s still waiting: %s", limit, what)
		}
	}
}

// patience is a time limit as it is on this machine: a virtual one whose processor
// is emulated is told how many times slower it is (vms/cli).
func patience(limit time.Duration) time.Duration {
	factor, err := strconv.ParseFloat(os.Getenv("GROUNDUP_VM_FACTOR"), 64)
	if err != nil {
		return limit
	}
	return time.Duration(float64(limit) * factor)
}
