package observed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	labels "k8s.io/kubelet/pkg/types"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
)

// A Runtime is the part of the CRI that is read here.
type Runtime interface {
	ListPodSandbox(context.Context, *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error)
	PodSandboxStatus(context.Context, *runtimeapi.PodSandboxStatusRequest) (*runtimeapi.PodSandboxStatusResponse, error)
	ListContainers(context.Context, *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error)
	ContainerStatus(context.Context, *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error)
}

// List returns every pod that the runtime knows, by UID, at the price of two
// calls: what only a status call tells (addresses, times, exit codes, messages)
// is left out.
func List(ctx context.Context, rt Runtime) (map[types.UID]*Pod, error) {
	return list(ctx, rt, nil)
}

// Read returns all that the runtime knows of one pod. A pod that it does not
// know is returned empty.
func Read(ctx context.Context, rt Runtime, uid types.UID) (*Pod, error) {
	pods, err := list(ctx, rt, map[string]string{labels.KubernetesPodUIDLabel: string(uid)})
	if err != nil {
		return nil, err
	}
	p := pods[uid]
	if p == nil {
		return &Pod{UID: uid}, nil
	}
	if s := p.Sandbox(); s != nil {
		if err := s.read(ctx, rt); err != nil {
			return nil, err
		}
	}
	kept := p.Containers[:0]
	for _, c := range p.Containers {
		err := c.read(ctx, rt)
		if status.Code(err) == codes.NotFound { // removed since it was listed
			continue
		}
		if err != nil {
			return nil, err
		}
		kept = append(kept, c)
	}
	p.Containers = kept
	return p, nil
}

func list(ctx context.Context, rt Runtime, selector map[string]string) (map[types.UID]*Pod, error) {
	sandboxes, err := rt.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{
		Filter: &runtimeapi.PodSandboxFilter{LabelSelector: selector}})
	if err != nil {
		return nil, fmt.Errorf("list sandboxes: %w", err)
	}
	containers, err := rt.ListContainers(ctx, &runtimeapi.ListContainersRequest{
		Filter: &runtimeapi.ContainerFilter{LabelSelector: selector}})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	pods := map[types.UID]*Pod{}
	pod := func(i criconfig.Info) *Pod {
		if pods[i.PodUID] == nil {
			pods[i.PodUID] = &Pod{UID: i.PodUID, Namespace: i.PodNamespace, Name: i.PodName}
		}
		return pods[i.PodUID]
	}
	for _, s := range sandboxes.GetItems() {
		info := criconfig.ReadInfo(s.Labels, s.Annotations)
		if info.PodUID == "" { // not a kubelet's: somebody ran it with crictl
			continue
		}
		p := pod(info)
		p.Sandboxes = append(p.Sandboxes, Sandbox{
			ID: s.Id, Attempt: s.GetMetadata().GetAttempt(), CreatedAt: clock(s.CreatedAt),
			Ready: s.State == runtimeapi.PodSandboxState_SANDBOX_READY, Annotations: s.Annotations,
		})
	}
	for _, c := range containers.GetContainers() {
		info := criconfig.ReadInfo(c.Labels, c.Annotations)
		if info.PodUID == "" {
			continue
		}
		p := pod(info)
		p.Containers = append(p.Containers, Container{
			ID: c.Id, Name: info.Container, SandboxID: c.PodSandboxId, Info: info,
			Attempt: c.GetMetadata().GetAttempt(), CreatedAt: clock(c.CreatedAt),
			State: state(c.State), Image: c.GetImage().GetUserSpecifiedImage(), ImageRef: c.ImageRef,
		})
	}
	for _, p := range pods {
		p.sort()
	}
	return pods, nil
}

// sort puts the newest first. Two made in the same nanosecond of a coarse clock
// are told apart by their attempt, and by name.
func (p *Pod) sort() {
	slices.SortFunc(p.Sandboxes, func(a, b Sandbox) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.Attempt, a.Attempt))
	})
	slices.SortFunc(p.Containers, func(a, b Container) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.Attempt, a.Attempt), cmp.Compare(a.Name, b.Name))
	})
}

func state(s runtimeapi.ContainerState) State {
	switch s {
	case runtimeapi.ContainerState_CONTAINER_CREATED:
		return Created
	case runtimeapi.ContainerState_CONTAINER_RUNNING:
		return Running
	case runtimeapi.ContainerState_CONTAINER_EXITED:
		return Exited
	}
	return Unknown
}

func (s *Sandbox) read(ctx context.Context, rt Runtime) error {
	resp, err := rt.PodSandboxStatus(ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: s.ID})
	if err != nil {
		return fmt.Errorf("status of sandbox %s: %w", s.ID, err)
	}
	s.Ready = resp.GetStatus().GetState() == runtimeapi.PodSandboxState_SANDBOX_READY
	network := resp.GetStatus().GetNetwork()
	if network.GetIp() == "" {
		return nil
	}
	s.IPs = []string{network.Ip}
	for _, ip := range network.AdditionalIps {
		s.IPs = append(s.IPs, ip.Ip)
	}
	return nil
}

func (c *Container) read(ctx context.Context, rt Runtime) error {
	resp, err := rt.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: c.ID})
	if err != nil {
		return fmt.Errorf("status of container %s: %w", c.ID, err)
	}
	s := resp.GetStatus()
	if s == nil {
		return errors.New("status of container " + c.ID + ": the runtime answered with nothing")
	}
	c.State = state(s.State)
	c.StartedAt, c.FinishedAt = clock(s.StartedAt), clock(s.FinishedAt)
	c.ExitCode, c.Reason, c.Message = s.ExitCode, s.Reason, s.Message
	c.LogPath = s.LogPath
	c.Image, c.ImageRef = cmp.Or(c.Image, s.GetImage().GetUserSpecifiedImage(), s.GetImage().GetImage()), cmp.Or(s.ImageRef, c.ImageRef)
	c.Resources = s.GetResources().GetLinux()
	if u := s.GetUser().GetLinux(); u != nil {
		c.User = &corev1.ContainerUser{Linux: &corev1.LinuxContainerUser{
			UID: u.Uid, GID: u.Gid, SupplementalGroups: u.SupplementalGroups}}
	}
	if c.State == Exited {
		c.Message = terminationMessage(c, s)
	}
	return nil
}

// clock turns the CRI's nanoseconds into a time; 0 means never.
func clock(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}
