package stats

import (
	"context"
	"errors"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	runtimelabels "k8s.io/kubelet/pkg/types"
)

// A Runtime is the part of the CRI that has numbers, and that knows what they can
// be asked of. runtimeapi.RuntimeServiceServer has it.
type Runtime interface {
	ListPodSandboxStats(context.Context, *runtimeapi.ListPodSandboxStatsRequest) (*runtimeapi.ListPodSandboxStatsResponse, error)
	PodSandboxStats(context.Context, *runtimeapi.PodSandboxStatsRequest) (*runtimeapi.PodSandboxStatsResponse, error)
	ListContainerStats(context.Context, *runtimeapi.ListContainerStatsRequest) (*runtimeapi.ListContainerStatsResponse, error)
	ListPodSandbox(context.Context, *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error)
	ListContainers(context.Context, *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error)
}

// sandboxes asks the runtime for the numbers of pods, and keeps of their containers
// those that run: containerd has numbers of those that have ended, too.
func (p *Provider) sandboxes(ctx context.Context) ([]*runtimeapi.PodSandboxStats, error) {
	list, err := p.measured(ctx)
	if err != nil {
		return nil, err
	}
	state := runtimeapi.ContainerState_CONTAINER_RUNNING
	reply, err := p.conf.Runtime.ListContainers(ctx, &runtimeapi.ListContainersRequest{
		Filter: &runtimeapi.ContainerFilter{State: &runtimeapi.ContainerStateValue{State: state}}})
	if err != nil {
		return nil, err
	}
	running := map[string]bool{}
	for _, c := range reply.GetContainers() {
		running[c.GetId()] = true
	}
	for _, s := range list {
		if s.Linux != nil {
			s.Linux.Containers = slices.DeleteFunc(s.Linux.Containers, func(c *runtimeapi.ContainerStats) bool {
				return !running[c.GetAttributes().GetId()]
			})
		}
	}
	return list, nil
}

// measured asks for all pods at once, then for one after the other: containerd
// 1.6 answers the first question with an error if one sandbox of many has ended. A
// runtime that has no numbers of pods has those of containers, which make up a pod's.
func (p *Provider) measured(ctx context.Context) ([]*runtimeapi.PodSandboxStats, error) {
	all, err := p.conf.Runtime.ListPodSandboxStats(ctx, &runtimeapi.ListPodSandboxStatsRequest{})
	if err == nil {
		return all.GetStats(), nil
	}
	if status.Code(err) != codes.Unimplemented {
		return p.oneByOne(ctx, err)
	}
	list, listErr := p.conf.Runtime.ListContainerStats(ctx, &runtimeapi.ListContainerStatsRequest{})
	if listErr != nil {
		return nil, errors.Join(err, listErr)
	}
	return group(list.GetStats()), nil
}

// oneByOne leaves out the pods that can't be measured, which end at this moment. That
// none can is the error that led here.
func (p *Provider) oneByOne(ctx context.Context, why error) ([]*runtimeapi.PodSandboxStats, error) {
	state := runtimeapi.PodSandboxState_SANDBOX_READY
	ready, err := p.conf.Runtime.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{
		Filter: &runtimeapi.PodSandboxFilter{State: &runtimeapi.PodSandboxStateValue{State: state}}})
	if err != nil {
		return nil, errors.Join(why, err)
	}
	var out []*runtimeapi.PodSandboxStats
	for _, s := range ready.GetItems() {
		reply, err := p.conf.Runtime.PodSandboxStats(ctx, &runtimeapi.PodSandboxStatsRequest{PodSandboxId: s.GetId()})
		if err != nil {
			p.conf.Log.Debug("pod not measured", "sandbox", s.GetId(), "error", err)
			continue
		}
		out = append(out, reply.GetStats())
	}
	if len(out) == 0 && len(ready.GetItems()) > 0 {
		return nil, why
	}
	return out, nil
}

func group(containers []*runtimeapi.ContainerStats) []*runtimeapi.PodSandboxStats {
	var out []*runtimeapi.PodSandboxStats
	byUID := map[string]*runtimeapi.PodSandboxStats{}
	for _, c := range containers {
		labels := c.GetAttributes().GetLabels()
		uid := runtimelabels.GetPodUID(labels)
		if uid == "" { // not a kubelet's container
			continue
		}
		s := byUID[uid]
		if s == nil {
			s = &runtimeapi.PodSandboxStats{
				Attributes: &runtimeapi.PodSandboxAttributes{Metadata: &runtimeapi.PodSandboxMetadata{
					Uid: uid, Name: runtimelabels.GetPodName(labels), Namespace: runtimelabels.GetPodNamespace(labels),
				}},
				Linux: &runtimeapi.LinuxPodSandboxStats{},
			}
			byUID[uid] = s
			out = append(out, s)
		}
		s.Linux.Containers = append(s.Linux.Containers, c)
	}
	return out
}
