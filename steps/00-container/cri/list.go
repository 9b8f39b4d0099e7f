package cri

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/state"
)

// PodSandboxStatus tells all about one sandbox and its containers.
func (s *Service) PodSandboxStatus(_ context.Context, req *runtimeapi.PodSandboxStatusRequest) (*runtimeapi.PodSandboxStatusResponse, error) {
	sb, err := s.sandbox(req.GetPodSandboxId())
	if err != nil {
		return nil, toStatus(err)
	}
	containers, err := s.statuses(sb.ID)
	if err != nil {
		return nil, toStatus(err)
	}
	resp := &runtimeapi.PodSandboxStatusResponse{
		Status:             s.sandboxStatus(sb),
		ContainersStatuses: containers,
		Timestamp:          time.Now().UnixNano(),
	}
	if req.GetVerbose() {
		pause, _ := s.pause(sb.ID)
		resp.Info = info(map[string]any{"info": map[string]any{
			"pid": pause.PID, "netns": s.dirs.Netns(sb.ID), "cgroup": sb.Cgroup, "dir": s.dirs.Pod(sb.ID), "runDir": s.dirs.RunPod(sb.ID),
		}})
	}
	return resp, nil
}

func (s *Service) sandboxStatus(sb *sandbox) *runtimeapi.PodSandboxStatus {
	st := &runtimeapi.PodSandboxStatus{
		Id: sb.ID, Metadata: sb.Config.GetMetadata(), State: s.sandboxState(sb),
		CreatedAt: sb.CreatedAt.UnixNano(), Network: &runtimeapi.PodSandboxNetworkStatus{},
		Linux: &runtimeapi.LinuxPodSandboxStatus{Namespaces: &runtimeapi.Namespace{
			Options: sb.Config.GetLinux().GetSecurityContext().GetNamespaceOptions(),
		}},
		Labels: sb.Config.GetLabels(), Annotations: sb.Config.GetAnnotations(), RuntimeHandler: sb.Handler,
	}
	for i, ip := range sb.IPs {
		if i == 0 {
			st.Network.Ip = ip.String()
			continue
		}
		st.Network.AdditionalIps = append(st.Network.AdditionalIps, &runtimeapi.PodIP{Ip: ip.String()})
	}
	return st
}

func (s *Service) sandboxState(sb *sandbox) runtimeapi.PodSandboxState {
	if s.isReady(sb) {
		return runtimeapi.PodSandboxState_SANDBOX_READY
	}
	return runtimeapi.PodSandboxState_SANDBOX_NOTREADY
}

// ListPodSandbox lists the sandboxes that a filter lets through.
func (s *Service) ListPodSandbox(_ context.Context, req *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	items, err := s.listSandboxes(req.GetFilter())
	return &runtimeapi.ListPodSandboxResponse{Items: items}, toStatus(err)
}

func (s *Service) listSandboxes(f *runtimeapi.PodSandboxFilter) (items []*runtimeapi.PodSandbox, err error) {
	all, err := s.allSandboxes()
	if err != nil {
		return nil, err
	}
	for _, sb := range all {
		if sb.Stage == creating || !strings.HasPrefix(sb.ID, f.GetId()) || !matches(f.GetLabelSelector(), sb.Config.GetLabels()) {
			continue
		}
		state := s.sandboxState(sb)
		if f.GetState() != nil && f.GetState().GetState() != state {
			continue
		}
		items = append(items, &runtimeapi.PodSandbox{
			Id: sb.ID, Metadata: sb.Config.GetMetadata(), State: state, CreatedAt: sb.CreatedAt.UnixNano(),
			Labels: sb.Config.GetLabels(), Annotations: sb.Config.GetAnnotations(), RuntimeHandler: sb.Handler,
		})
	}
	return items, nil
}

// StreamPodSandboxes is ListPodSandbox, one by one.
func (s *Service) StreamPodSandboxes(req *runtimeapi.StreamPodSandboxesRequest, out grpc.ServerStreamingServer[runtimeapi.StreamPodSandboxesResponse]) error {
	items, err := s.listSandboxes(req.GetFilter())
	return stream(items, err, func(p *runtimeapi.PodSandbox) error {
		return out.Send(&runtimeapi.StreamPodSandboxesResponse{PodSandboxes: []*runtimeapi.PodSandbox{p}})
	})
}

// ListContainers lists the containers that a filter lets through.
func (s *Service) ListContainers(_ context.Context, req *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	items, err := s.listContainers(req.GetFilter())
	return &runtimeapi.ListContainersResponse{Containers: items}, toStatus(err)
}

func (s *Service) listContainers(f *runtimeapi.ContainerFilter) (items []*runtimeapi.Container, err error) {
	var all []*container
	if pod := f.GetPodSandboxId(); pod != "" && exists(s.sandboxFile(pod)) {
		all, err = s.containersOf(pod) // the whole id: what a kubelet asks all the time
	} else {
		all, err = s.allContainers()
	}
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		if !strings.HasPrefix(c.ID, f.GetId()) || !strings.HasPrefix(c.Sandbox, f.GetPodSandboxId()) || !matches(f.GetLabelSelector(), c.Config.GetLabels()) {
			continue
		}
		state := s.stateOf(c)
		if s.gone(c, state) {
			continue
		}
		if f.GetState() != nil && f.GetState().GetState() != state {
			continue
		}
		items = append(items, &runtimeapi.Container{
			Id: c.ID, PodSandboxId: c.Sandbox, Metadata: c.Config.GetMetadata(), Image: c.Config.GetImage(),
			ImageRef: c.ImageRef, ImageId: c.ImageID, State: state, CreatedAt: c.CreatedAt.UnixNano(),
			Labels: c.Config.GetLabels(), Annotations: c.Config.GetAnnotations(),
		})
	}
	return items, nil
}

// StreamContainers is ListContainers, one by one.
func (s *Service) StreamContainers(req *runtimeapi.StreamContainersRequest, out grpc.ServerStreamingServer[runtimeapi.StreamContainersResponse]) error {
	items, err := s.listContainers(req.GetFilter())
	return stream(items, err, func(c *runtimeapi.Container) error {
		return out.Send(&runtimeapi.StreamContainersResponse{Containers: []*runtimeapi.Container{c}})
	})
}

func stream[T any](items []T, err error, send func(T) error) error {
	for _, item := range items {
		if err == nil {
			err = send(item)
		}
	}
	return toStatus(err)
}

// ContainerStatus tells all about one container.
func (s *Service) ContainerStatus(_ context.Context, req *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	c, err := s.container(req.GetContainerId())
	if err != nil {
		return nil, toStatus(err)
	}
	resp := &runtimeapi.ContainerStatusResponse{Status: s.containerStatus(c)}
	if s.gone(c, resp.Status.State) {
		return nil, toStatus(fmt.Errorf("container %s: %w", c.ID, state.ErrNotFound))
	}
	if req.GetVerbose() {
		pid := 0
		if p := s.startedAs(c); p != nil && s.exit(c) == nil {
			pid = p.PID
		}
		resp.Info = info(map[string]any{"info": map[string]any{
			"sandboxID": c.Sandbox, "pid": pid, "cgroup": c.Cgroup, "config": c.Config,
			"dir": s.dirs.Container(c.Sandbox, c.ID), "runDir": s.dirs.RunContainer(c.Sandbox, c.ID),
		}})
	}
	return resp, nil
}

func (s *Service) statuses(pod string) (out []*runtimeapi.ContainerStatus, err error) {
	containers, err := s.containersOf(pod)
	for _, c := range containers {
		if st := s.containerStatus(c); !s.gone(c, st.State) {
			out = append(out, st)
		}
	}
	return out, err
}

// gone says of a container that seems not to have ended whether it has been removed
// meanwhile, with what was known of its process.
func (s *Service) gone(c *container, seems runtimeapi.ContainerState) bool {
	return seems != runtimeapi.ContainerState_CONTAINER_EXITED && !exists(s.containerFile(c, "container.json"))
}

func (s *Service) containerStatus(c *container) *runtimeapi.ContainerStatus {
	st := &runtimeapi.ContainerStatus{
		Id: c.ID, Metadata: c.Config.GetMetadata(), State: s.stateOf(c), CreatedAt: c.CreatedAt.UnixNano(),
		Image: imageOf(c), ImageRef: c.ImageRef, ImageId: c.ImageID,
		Labels: c.Config.GetLabels(), Annotations: c.Config.GetAnnotations(),
		Mounts: c.Config.GetMounts(), LogPath: c.LogPath,
		Resources:  &runtimeapi.ContainerResources{Linux: c.Resources},
		User:       &runtimeapi.ContainerUser{Linux: c.User},
		StopSignal: signalOf(c.Signal),
	}
	if p := s.startedAs(c); p != nil {
		st.StartedAt = p.At.UnixNano()
	}
	if e := s.exit(c); e != nil {
		st.FinishedAt, st.ExitCode, st.Reason, st.Message = e.At.UnixNano(), int32(e.Code), reason(e.Reason, e.Code), e.Message
	}
	return st
}

// imageOf names the image by a tag, if it had one: a kubelet asks for containers of an
// image by its ID, and shows in a pod's status what it is told here.
func imageOf(c *container) *runtimeapi.ImageSpec {
	spec := proto.CloneOf(c.Config.GetImage())
	if c.ImageTag != "" {
		spec.Image = c.ImageTag
	}
	return spec
}

// reason is what the kubelet shows when a container has ended.
func reason(known string, code int) string {
	switch {
	case known != "":
		return known
	case code == 0:
		return "Completed"
	}
	return "Error"
}

// signalOf is the CRI's name for a signal.
func signalOf(name string) runtimeapi.Signal {
	name = strings.NewReplacer("+", "PLUS", "-", "MINUS").Replace(strings.TrimPrefix(strings.ToUpper(name), "SIG"))
	return runtimeapi.Signal(runtimeapi.Signal_value["SIGNAL_SIG"+name])
}
