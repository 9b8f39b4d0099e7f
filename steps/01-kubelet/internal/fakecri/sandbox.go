package fakecri

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func (r *Runtime) RunPodSandbox(_ context.Context, req *runtimeapi.RunPodSandboxRequest) (*runtimeapi.RunPodSandboxResponse, error) {
	conf := req.GetConfig()
	if err := r.did("RunPodSandbox", conf.GetMetadata().GetName()); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sandboxes {
		if m := s.Metadata; m.Uid == conf.Metadata.Uid && m.Attempt == conf.Metadata.Attempt {
			return nil, status.Errorf(codes.AlreadyExists, "sandbox of pod %s, attempt %d exists: %s", m.Name, m.Attempt, s.Id)
		}
	}
	s := &sandbox{ip: fmt.Sprintf("10.0.0.%d", len(r.sandboxes)+2)}
	s.Id, s.Metadata, s.Labels, s.Annotations = r.id("sandbox"), conf.Metadata, conf.Labels, conf.Annotations
	s.CreatedAt = time.Now().UnixNano()
	r.sandboxes[s.Id] = s
	return &runtimeapi.RunPodSandboxResponse{PodSandboxId: s.Id}, nil
}

func (r *Runtime) StopPodSandbox(ctx context.Context, req *runtimeapi.StopPodSandboxRequest) (*runtimeapi.StopPodSandboxResponse, error) {
	r.mu.Lock()
	s := r.sandboxes[req.PodSandboxId]
	var inside []*container
	for _, c := range r.containers {
		if s != nil && c.sandbox == s.Id {
			inside = append(inside, c)
		}
	}
	r.mu.Unlock()
	if s == nil {
		return &runtimeapi.StopPodSandboxResponse{}, nil
	}
	if err := r.did("StopPodSandbox", s.Metadata.Name); err != nil {
		return nil, err
	}
	for _, c := range inside {
		r.stop(ctx, c, 0)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.State = runtimeapi.PodSandboxState_SANDBOX_NOTREADY
	return &runtimeapi.StopPodSandboxResponse{}, nil
}

func (r *Runtime) RemovePodSandbox(ctx context.Context, req *runtimeapi.RemovePodSandboxRequest) (*runtimeapi.RemovePodSandboxResponse, error) {
	r.mu.Lock()
	s := r.sandboxes[req.PodSandboxId]
	r.mu.Unlock()
	if s == nil {
		return &runtimeapi.RemovePodSandboxResponse{}, nil
	}
	if err := r.did("RemovePodSandbox", s.Metadata.Name); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, c := range r.containers {
		if c.sandbox == s.Id {
			delete(r.containers, id)
		}
	}
	delete(r.sandboxes, s.Id)
	return &runtimeapi.RemovePodSandboxResponse{}, nil
}

// KillSandbox is the sandbox's pause process dying, and its containers with it.
func (r *Runtime) KillSandbox(pod string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sandboxes {
		if s.Metadata.Name != pod {
			continue
		}
		s.State = runtimeapi.PodSandboxState_SANDBOX_NOTREADY
		for _, c := range r.containers {
			if c.sandbox == s.Id && c.ends.IsZero() {
				c.ends, c.code = time.Now(), 137
			}
		}
	}
}

func (r *Runtime) PodSandboxStatus(_ context.Context, req *runtimeapi.PodSandboxStatusRequest) (*runtimeapi.PodSandboxStatusResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sandboxes[req.PodSandboxId]
	if s == nil {
		return nil, notFound("sandbox", req.PodSandboxId)
	}
	return &runtimeapi.PodSandboxStatusResponse{Status: &runtimeapi.PodSandboxStatus{
		Id: s.Id, Metadata: s.Metadata, State: s.State, CreatedAt: s.CreatedAt,
		Network: &runtimeapi.PodSandboxNetworkStatus{Ip: s.ip}, Labels: s.Labels, Annotations: s.Annotations,
	}}, nil
}

func (r *Runtime) ListPodSandbox(_ context.Context, req *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	resp := &runtimeapi.ListPodSandboxResponse{}
	for _, s := range r.sandboxes {
		if f := req.GetFilter(); f.GetId() != "" && f.Id != s.Id || !matches(s.Labels, f.GetLabelSelector()) {
			continue
		}
		resp.Items = append(resp.Items, &runtimeapi.PodSandbox{Id: s.Id, Metadata: s.Metadata, State: s.State,
			CreatedAt: s.CreatedAt, Labels: s.Labels, Annotations: s.Annotations})
	}
	return resp, nil
}
