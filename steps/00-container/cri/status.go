package cri

import (
	"context"
	"encoding/json"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// RuntimeName and RuntimeVersion are what Version answers.
const (
	RuntimeName    = "groundup"
	RuntimeVersion = "0.1.0"
)

// Version tells who we are.
func (s *Service) Version(context.Context, *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
	return &runtimeapi.VersionResponse{
		Version: "0.1.0", RuntimeName: RuntimeName, RuntimeVersion: RuntimeVersion, RuntimeApiVersion: "v1",
	}, nil
}

// Status tells whether pods can be run.
func (s *Service) Status(_ context.Context, req *runtimeapi.StatusRequest) (*runtimeapi.StatusResponse, error) {
	_, hostErr := s.host()
	resp := &runtimeapi.StatusResponse{
		Status: &runtimeapi.RuntimeStatus{Conditions: []*runtimeapi.RuntimeCondition{
			condition(runtimeapi.RuntimeReady, "ShimNotUsable", hostErr),
			condition(runtimeapi.NetworkReady, "NetworkNotReady", s.conf.Network.Ready()),
		}},
		Features: &runtimeapi.RuntimeFeatures{SupplementalGroupsPolicy: true, MountOptions: true},
	}
	for _, name := range handlers {
		resp.RuntimeHandlers = append(resp.RuntimeHandlers, &runtimeapi.RuntimeHandler{
			Name:     name,
			Features: &runtimeapi.RuntimeHandlerFeatures{RecursiveReadOnlyMounts: true, UserNamespaces: true},
		})
	}
	if req.GetVerbose() {
		host, _ := s.host()
		resp.Info = info(map[string]any{
			"config": map[string]any{"root": s.conf.Root, "state": s.conf.State, "shim": s.conf.ShimPath, "cgroupParent": s.conf.CgroupParent},
			"host": map[string]any{
				"cgroupV2": host.CgroupV2, "seccomp": host.Seccomp, "appArmor": host.AppArmor,
				"selinux": host.SELinux, "swap": host.Swap, "hugePages": host.HugePages,
				"minOOMScoreAdj": host.MinOOMScoreAdj, "capabilities": host.Capabilities,
			},
		})
	}
	return resp, nil
}

func condition(kind, reason string, err error) *runtimeapi.RuntimeCondition {
	if err != nil {
		return &runtimeapi.RuntimeCondition{Type: kind, Reason: reason, Message: err.Error()}
	}
	return &runtimeapi.RuntimeCondition{Type: kind, Status: true}
}

// info renders what a verbose answer has to say.
func info(parts map[string]any) map[string]string {
	out := map[string]string{}
	for key, value := range parts {
		if data, err := json.Marshal(value); err == nil {
			out[key] = string(data)
		}
	}
	return out
}

// RuntimeConfig tells a kubelet which cgroup driver to use.
func (s *Service) RuntimeConfig(context.Context, *runtimeapi.RuntimeConfigRequest) (*runtimeapi.RuntimeConfigResponse, error) {
	return &runtimeapi.RuntimeConfigResponse{
		Linux: &runtimeapi.LinuxRuntimeConfiguration{CgroupDriver: runtimeapi.CgroupDriver_CGROUPFS},
	}, nil
}

// A PodCIDRSetter is a network that wants to know the node's range of pod
// addresses, which a kubelet learns from the API server.
type PodCIDRSetter interface {
	SetPodCIDR(cidr string) error
}

// UpdateRuntimeConfig hands the pod CIDR on to a network that can use it.
func (s *Service) UpdateRuntimeConfig(_ context.Context, req *runtimeapi.UpdateRuntimeConfigRequest) (*runtimeapi.UpdateRuntimeConfigResponse, error) {
	cidr := req.GetRuntimeConfig().GetNetworkConfig().GetPodCidr()
	if n, ok := s.conf.Network.(PodCIDRSetter); ok && cidr != "" {
		if err := n.SetPodCIDR(cidr); err != nil {
			return nil, toStatus(err)
		}
	}
	return &runtimeapi.UpdateRuntimeConfigResponse{}, nil
}

// matches reports whether labels has all of selector.
func matches(selector, labels map[string]string) bool {
	for key, value := range selector {
		if got, ok := labels[key]; !ok || got != value {
			return false
		}
	}
	return true
}
