package criclient

import (
	"context"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func (c *Client) Version(ctx context.Context, r *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
	return call(ctx, c.Timeout, c.runtime.Version, r)
}

func (c *Client) RunPodSandbox(ctx context.Context, r *runtimeapi.RunPodSandboxRequest) (*runtimeapi.RunPodSandboxResponse, error) {
	return call(ctx, c.Timeout, c.runtime.RunPodSandbox, r)
}

func (c *Client) StopPodSandbox(ctx context.Context, r *runtimeapi.StopPodSandboxRequest) (*runtimeapi.StopPodSandboxResponse, error) {
	return call(ctx, c.Timeout, c.runtime.StopPodSandbox, r)
}

func (c *Client) RemovePodSandbox(ctx context.Context, r *runtimeapi.RemovePodSandboxRequest) (*runtimeapi.RemovePodSandboxResponse, error) {
	return call(ctx, c.Timeout, c.runtime.RemovePodSandbox, r)
}

func (c *Client) PodSandboxStatus(ctx context.Context, r *runtimeapi.PodSandboxStatusRequest) (*runtimeapi.PodSandboxStatusResponse, error) {
	return call(ctx, c.Timeout, c.runtime.PodSandboxStatus, r)
}

func (c *Client) ListPodSandbox(ctx context.Context, r *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	return call(ctx, c.Timeout, c.runtime.ListPodSandbox, r)
}

func (c *Client) CreateContainer(ctx context.Context, r *runtimeapi.CreateContainerRequest) (*runtimeapi.CreateContainerResponse, error) {
	return call(ctx, c.Timeout, c.runtime.CreateContainer, r)
}

func (c *Client) StartContainer(ctx context.Context, r *runtimeapi.StartContainerRequest) (*runtimeapi.StartContainerResponse, error) {
	return call(ctx, c.Timeout, c.runtime.StartContainer, r)
}

func (c *Client) RemoveContainer(ctx context.Context, r *runtimeapi.RemoveContainerRequest) (*runtimeapi.RemoveContainerResponse, error) {
	return call(ctx, c.Timeout, c.runtime.RemoveContainer, r)
}

func (c *Client) ListContainers(ctx context.Context, r *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	return call(ctx, c.Timeout, c.runtime.ListContainers, r)
}

func (c *Client) ContainerStatus(ctx context.Context, r *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	return call(ctx, c.Timeout, c.runtime.ContainerStatus, r)
}

func (c *Client) UpdateContainerResources(ctx context.Context, r *runtimeapi.UpdateContainerResourcesRequest) (*runtimeapi.UpdateContainerResourcesResponse, error) {
	return call(ctx, c.Timeout, c.runtime.UpdateContainerResources, r)
}

func (c *Client) ReopenContainerLog(ctx context.Context, r *runtimeapi.ReopenContainerLogRequest) (*runtimeapi.ReopenContainerLogResponse, error) {
	return call(ctx, c.Timeout, c.runtime.ReopenContainerLog, r)
}

func (c *Client) Exec(ctx context.Context, r *runtimeapi.ExecRequest) (*runtimeapi.ExecResponse, error) {
	return call(ctx, c.Timeout, c.runtime.Exec, r)
}

func (c *Client) Attach(ctx context.Context, r *runtimeapi.AttachRequest) (*runtimeapi.AttachResponse, error) {
	return call(ctx, c.Timeout, c.runtime.Attach, r)
}

func (c *Client) PortForward(ctx context.Context, r *runtimeapi.PortForwardRequest) (*runtimeapi.PortForwardResponse, error) {
	return call(ctx, c.Timeout, c.runtime.PortForward, r)
}

func (c *Client) ContainerStats(ctx context.Context, r *runtimeapi.ContainerStatsRequest) (*runtimeapi.ContainerStatsResponse, error) {
	return call(ctx, c.Timeout, c.runtime.ContainerStats, r)
}

func (c *Client) ListContainerStats(ctx context.Context, r *runtimeapi.ListContainerStatsRequest) (*runtimeapi.ListContainerStatsResponse, error) {
	return call(ctx, c.Timeout, c.runtime.ListContainerStats, r)
}

func (c *Client) PodSandboxStats(ctx context.Context, r *runtimeapi.PodSandboxStatsRequest) (*runtimeapi.PodSandboxStatsResponse, error) {
	return call(ctx, c.Timeout, c.runtime.PodSandboxStats, r)
}

func (c *Client) ListPodSandboxStats(ctx context.Context, r *runtimeapi.ListPodSandboxStatsRequest) (*runtimeapi.ListPodSandboxStatsResponse, error) {
	return call(ctx, c.Timeout, c.runtime.ListPodSandboxStats, r)
}

func (c *Client) Status(ctx context.Context, r *runtimeapi.StatusRequest) (*runtimeapi.StatusResponse, error) {
	return call(ctx, c.Timeout, c.runtime.Status, r)
}

func (c *Client) UpdateRuntimeConfig(ctx context.Context, r *runtimeapi.UpdateRuntimeConfigRequest) (*runtimeapi.UpdateRuntimeConfigResponse, error) {
	return call(ctx, c.Timeout, c.runtime.UpdateRuntimeConfig, r)
}

func (c *Client) RuntimeConfig(ctx context.Context, r *runtimeapi.RuntimeConfigRequest) (*runtimeapi.RuntimeConfigResponse, error) {
	return call(ctx, c.Timeout, c.runtime.RuntimeConfig, r)
}

// StopContainer may take its grace period longer.
func (c *Client) StopContainer(ctx context.Context, r *runtimeapi.StopContainerRequest) (*runtimeapi.StopContainerResponse, error) {
	return call(ctx, c.Timeout+time.Duration(r.Timeout)*time.Second, c.runtime.StopContainer, r)
}

// ExecSync has a limit of its own in the request.
func (c *Client) ExecSync(ctx context.Context, r *runtimeapi.ExecSyncRequest) (*runtimeapi.ExecSyncResponse, error) {
	return call(ctx, 0, c.runtime.ExecSync, r)
}

func (c *Client) ListImages(ctx context.Context, r *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error) {
	return call(ctx, c.Timeout, c.images.ListImages, r)
}

func (c *Client) ImageStatus(ctx context.Context, r *runtimeapi.ImageStatusRequest) (*runtimeapi.ImageStatusResponse, error) {
	return call(ctx, c.Timeout, c.images.ImageStatus, r)
}

func (c *Client) RemoveImage(ctx context.Context, r *runtimeapi.RemoveImageRequest) (*runtimeapi.RemoveImageResponse, error) {
	return call(ctx, c.Timeout, c.images.RemoveImage, r)
}

func (c *Client) ImageFsInfo(ctx context.Context, r *runtimeapi.ImageFsInfoRequest) (*runtimeapi.ImageFsInfoResponse, error) {
	return call(ctx, c.Timeout, c.images.ImageFsInfo, r)
}

// PullImage takes as long as the registry takes.
func (c *Client) PullImage(ctx context.Context, r *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error) {
	return call(ctx, 0, c.images.PullImage, r)
}
