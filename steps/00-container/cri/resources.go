package cri

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/spec"
	"github.com/k8s-groundup/groundup/steps/00-container/state"
)

// cgroupAt is a cgroup by its path in the hierarchies, or the one hierarchy.
func cgroupAt(path string, r *cgroups.Resources) (cgroups.Manager, error) {
	r.SkipDevices = true // a container's device rules are not ours to touch
	return manager.New(&cgroups.Cgroup{Path: path, Resources: r})
}

func removeCgroup(path string) error {
	m, err := cgroupAt(path, &cgroups.Resources{})
	if err != nil {
		return err
	}
	return m.Destroy()
}

// UpdateContainerResources changes a container's limits. What the request
// leaves at zero stays as it is.
func (s *Service) UpdateContainerResources(_ context.Context, req *runtimeapi.UpdateContainerResourcesRequest) (*runtimeapi.UpdateContainerResourcesResponse, error) {
	return &runtimeapi.UpdateContainerResourcesResponse{}, toStatus(s.updateResources(req))
}

func (s *Service) updateResources(req *runtimeapi.UpdateContainerResourcesRequest) error {
	c, err := s.container(req.GetContainerId())
	if err != nil {
		return err
	}
	unlock, err := s.lock(c.Sandbox)
	if err != nil {
		return err
	}
	defer unlock()
	if c, err = s.container(c.ID); err != nil {
		return err
	}
	wanted := mergeResources(c.Resources, req.GetLinux())
	switch s.stateOf(c) {
	case runtimeapi.ContainerState_CONTAINER_EXITED:
		return errors.New("the container has ended")
	case runtimeapi.ContainerState_CONTAINER_CREATED:
		if err := s.updateSpec(c, wanted); err != nil {
			return err
		}
	default:
		host, err := s.host()
		if err != nil {
			return err
		}
		m, err := cgroupAt(c.Cgroup, cgroupResources(req.GetLinux(), host.CgroupV2, host.Swap))
		if err != nil {
			return err
		}
		if err := m.Set(cgroupResources(req.GetLinux(), host.CgroupV2, host.Swap)); err != nil {
			return err
		}
	}
	changed := *c
	changed.Resources = wanted
	return state.Write(s.containerFile(c, "container.json"), &changed)
}

// updateSpec is for a container that has not been started.
func (s *Service) updateSpec(c *container, r *runtimeapi.LinuxContainerResources) error {
	path := filepath.Join(s.dirs.RunContainer(c.Sandbox, c.ID), "config.json")
	var oci specs.Spec
	if err := state.Read(path, &oci); err != nil {
		return err
	}
	host, err := s.host()
	if err != nil {
		return err
	}
	spec.SetResources(&oci, r, host)
	return state.Write(path, &oci)
}

// mergeResources is what a container has after an update.
func mergeResources(old, update *runtimeapi.LinuxContainerResources) *runtimeapi.LinuxContainerResources {
	out := &runtimeapi.LinuxContainerResources{}
	if old != nil {
		out = proto.CloneOf(old)
	}
	// proto.Merge takes what is set, and appends to lists.
	if len(update.GetHugepageLimits()) > 0 {
		out.HugepageLimits = nil
	}
	proto.Merge(out, update)
	return out
}

// cgroupResources translates, with libcontainer's scales for v2.
func cgroupResources(r *runtimeapi.LinuxContainerResources, v2, swap bool) *cgroups.Resources {
	out := &cgroups.Resources{
		SkipDevices: true,
		CpuShares:   uint64(max(r.GetCpuShares(), 0)),
		CpuQuota:    r.GetCpuQuota(),
		CpuPeriod:   uint64(max(r.GetCpuPeriod(), 0)),
		CpusetCpus:  r.GetCpusetCpus(),
		CpusetMems:  r.GetCpusetMems(),
		Memory:      r.GetMemoryLimitInBytes(),
	}
	if swap {
		out.MemorySwap = r.GetMemorySwapLimitInBytes()
		if out.MemorySwap == 0 {
			out.MemorySwap = out.Memory
		}
	}
	if v2 {
		out.CpuWeight = cgroups.ConvertCPUSharesToCgroupV2Value(out.CpuShares)
		out.Unified = r.GetUnified()
	}
	return out
}

// UpdatePodSandboxResources takes note of a pod's new limits. The pod's cgroup
// is the kubelet's, and the kubelet sets it; if it is ours we do.
func (s *Service) UpdatePodSandboxResources(_ context.Context, req *runtimeapi.UpdatePodSandboxResourcesRequest) (*runtimeapi.UpdatePodSandboxResourcesResponse, error) {
	found := false
	err := s.withSandbox(req.GetPodSandboxId(), func(sb *sandbox) error {
		found = true
		config := proto.CloneOf(sb.Config)
		if config.Linux == nil {
			config.Linux = &runtimeapi.LinuxPodSandboxConfig{}
		}
		config.Linux.Resources = mergeResources(config.Linux.Resources, req.GetResources())
		config.Linux.Overhead = mergeResources(config.Linux.Overhead, req.GetOverhead())
		sb.Config = config
		if sb.OwnCgroup {
			if err := s.setPodCgroup(sb); err != nil {
				return err
			}
		}
		return state.Write(s.sandboxFile(sb.ID), sb)
	})
	if err == nil && !found {
		err = state.ErrNotFound
	}
	return &runtimeapi.UpdatePodSandboxResourcesResponse{}, toStatus(err)
}

func (s *Service) setPodCgroup(sb *sandbox) error {
	host, err := s.host()
	if err != nil {
		return err
	}
	r := cgroupResources(sb.Config.Linux.Resources, host.CgroupV2, host.Swap)
	m, err := cgroupAt(filepath.Clean(sb.Cgroup), r)
	if err != nil {
		return err
	}
	return m.Set(r)
}
