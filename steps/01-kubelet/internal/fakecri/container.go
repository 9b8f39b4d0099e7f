package fakecri

import (
	"cmp"
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func (r *Runtime) CreateContainer(_ context.Context, req *runtimeapi.CreateContainerRequest) (*runtimeapi.CreateContainerResponse, error) {
	conf := req.GetConfig()
	if err := r.did("CreateContainer", conf.GetMetadata().GetName()); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sandboxes[req.PodSandboxId]
	if s == nil || s.State != runtimeapi.PodSandboxState_SANDBOX_READY {
		return nil, status.Errorf(codes.FailedPrecondition, "sandbox %q is not ready", req.PodSandboxId)
	}
	for _, c := range r.containers {
		if c.sandbox == s.Id && c.Metadata.Name == conf.Metadata.Name && c.Metadata.Attempt == conf.Metadata.Attempt {
			return nil, status.Errorf(codes.AlreadyExists, "container %s, attempt %d exists: %s", c.Metadata.Name, c.Metadata.Attempt, c.Id)
		}
	}
	image := cmp.Or(conf.Image.GetUserSpecifiedImage(), conf.Image.GetImage())
	c := &container{sandbox: s.Id, program: r.programs[image]}
	c.Id, c.Metadata, c.Labels, c.Annotations = r.id("container"), conf.Metadata, conf.Labels, conf.Annotations
	c.Resources = &runtimeapi.ContainerResources{Linux: conf.GetLinux().GetResources()}
	c.CreatedAt, c.Image, c.ImageRef = time.Now().UnixNano(), conf.Image, conf.Image.GetImage()
	r.containers[c.Id] = c
	return &runtimeapi.CreateContainerResponse{ContainerId: c.Id}, nil
}

func (r *Runtime) StartContainer(_ context.Context, req *runtimeapi.StartContainerRequest) (*runtimeapi.StartContainerResponse, error) {
	c := r.find(req.ContainerId)
	if c == nil {
		return nil, notFound("container", req.ContainerId)
	}
	if err := r.did("StartContainer", c.Metadata.Name); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.StartedAt != 0 {
		return nil, status.Errorf(codes.FailedPrecondition, "container %s was started before", c.Id)
	}
	c.StartedAt = time.Now().UnixNano()
	if c.program.Runs > 0 {
		c.ends, c.code = time.Now().Add(c.program.Runs), c.program.Exit
	}
	return &runtimeapi.StartContainerResponse{}, nil
}

func (r *Runtime) StopContainer(ctx context.Context, req *runtimeapi.StopContainerRequest) (*runtimeapi.StopContainerResponse, error) {
	c := r.find(req.ContainerId)
	if c == nil {
		return &runtimeapi.StopContainerResponse{}, nil
	}
	if err := r.did("StopContainer", c.Metadata.Name); err != nil {
		return nil, err
	}
	r.stop(ctx, c, time.Duration(req.Timeout)*time.Second)
	return &runtimeapi.StopContainerResponse{}, ctx.Err()
}

// stop is SIGTERM, a wait of at most grace, and SIGKILL.
func (r *Runtime) stop(ctx context.Context, c *container, grace time.Duration) {
	r.mu.Lock()
	now := time.Now()
	if c.StartedAt == 0 || !c.ends.IsZero() && !c.ends.After(now) {
		r.mu.Unlock()
		return
	}
	end, code := now.Add(c.program.StopsIn), c.program.StopExit
	if c.program.Deaf || c.program.StopsIn > grace {
		end, code = now.Add(grace), 137
	}
	if c.ends.IsZero() || end.Before(c.ends) {
		c.ends, c.code = end, code
	}
	wait := time.Until(c.ends)
	r.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
}

func (r *Runtime) RemoveContainer(_ context.Context, req *runtimeapi.RemoveContainerRequest) (*runtimeapi.RemoveContainerResponse, error) {
	c := r.find(req.ContainerId)
	if c == nil {
		return &runtimeapi.RemoveContainerResponse{}, nil
	}
	if err := r.did("RemoveContainer", c.Metadata.Name); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.containers, c.Id)
	return &runtimeapi.RemoveContainerResponse{}, nil
}

func (r *Runtime) ContainerStatus(_ context.Context, req *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[req.ContainerId]
	if c == nil {
		return nil, notFound("container", req.ContainerId)
	}
	s := &runtimeapi.ContainerStatus{Id: c.Id, Metadata: c.Metadata, CreatedAt: c.CreatedAt, StartedAt: c.StartedAt,
		Image: c.Image, ImageRef: c.ImageRef, Labels: c.Labels, Annotations: c.Annotations, State: c.state(), Resources: c.Resources}
	if s.State == runtimeapi.ContainerState_CONTAINER_EXITED {
		s.FinishedAt, s.ExitCode, s.Reason = c.ends.UnixNano(), c.code, cmp.Or(c.program.Reason, "Completed")
		if s.ExitCode != 0 && c.program.Reason == "" {
			s.Reason = "Error"
		}
	}
	return &runtimeapi.ContainerStatusResponse{Status: s}, nil
}

// UpdateContainerResources sets CPU and memory. What is 0 stays as it is.
func (r *Runtime) UpdateContainerResources(_ context.Context, req *runtimeapi.UpdateContainerResourcesRequest) (*runtimeapi.UpdateContainerResourcesResponse, error) {
	c := r.find(req.ContainerId)
	if c == nil {
		return nil, notFound("container", req.ContainerId)
	}
	if err := r.did("UpdateContainerResources", c.Metadata.Name); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old, to := c.Resources.GetLinux(), req.GetLinux()
	c.Resources = &runtimeapi.ContainerResources{Linux: &runtimeapi.LinuxContainerResources{
		CpuShares: cmp.Or(to.CpuShares, old.GetCpuShares()), CpuQuota: cmp.Or(to.CpuQuota, old.GetCpuQuota()),
		CpuPeriod: cmp.Or(to.CpuPeriod, old.GetCpuPeriod()), MemoryLimitInBytes: cmp.Or(to.MemoryLimitInBytes, old.GetMemoryLimitInBytes()),
	}}
	return &runtimeapi.UpdateContainerResourcesResponse{}, nil
}

// ContainerStats tells how much memory the program uses.
func (r *Runtime) ContainerStats(_ context.Context, req *runtimeapi.ContainerStatsRequest) (*runtimeapi.ContainerStatsResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[req.ContainerId]
	if c == nil {
		return nil, notFound("container", req.ContainerId)
	}
	return &runtimeapi.ContainerStatsResponse{Stats: &runtimeapi.ContainerStats{
		Memory: &runtimeapi.MemoryUsage{UsageBytes: &runtimeapi.UInt64Value{Value: c.program.Memory}}}}, nil
}

func (r *Runtime) ListContainers(_ context.Context, req *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	resp := &runtimeapi.ListContainersResponse{}
	for _, c := range r.containers {
		f := req.GetFilter()
		if f.GetId() != "" && f.Id != c.Id || f.GetPodSandboxId() != "" && f.PodSandboxId != c.sandbox || !matches(c.Labels, f.GetLabelSelector()) {
			continue
		}
		resp.Containers = append(resp.Containers, &runtimeapi.Container{Id: c.Id, PodSandboxId: c.sandbox, Metadata: c.Metadata,
			Image: c.Image, ImageRef: c.ImageRef, State: c.state(), CreatedAt: c.CreatedAt, Labels: c.Labels, Annotations: c.Annotations})
	}
	return resp, nil
}

func (r *Runtime) ExecSync(ctx context.Context, req *runtimeapi.ExecSyncRequest) (*runtimeapi.ExecSyncResponse, error) {
	c := r.find(req.ContainerId)
	if c == nil {
		return nil, notFound("container", req.ContainerId)
	}
	if err := r.did("ExecSync", c.Metadata.Name); err != nil {
		return nil, err
	}
	if c.program.Exec == nil {
		return &runtimeapi.ExecSyncResponse{}, nil
	}
	out, code, err := c.program.Exec(ctx, req.Cmd)
	if err != nil {
		return nil, err
	}
	return &runtimeapi.ExecSyncResponse{Stdout: []byte(out), ExitCode: code}, nil
}

func (r *Runtime) find(id string) *container {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.containers[id]
}

// state follows from the clock: nothing runs in here that could change it.
func (c *container) state() runtimeapi.ContainerState {
	switch {
	case c.StartedAt == 0:
		return runtimeapi.ContainerState_CONTAINER_CREATED
	case !c.ends.IsZero() && !c.ends.After(time.Now()):
		return runtimeapi.ContainerState_CONTAINER_EXITED
	}
	return runtimeapi.ContainerState_CONTAINER_RUNNING
}
