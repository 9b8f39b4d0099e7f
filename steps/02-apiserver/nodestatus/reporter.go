package nodestatus

import (
	"context"
	"fmt"
	"log/slog"
	"maps"

	corev1 "k8s.io/api/core/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/config"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
)

// Parts is what a kubelet's Reporter is made of beside the configuration.
type Parts struct {
	Nodes  typedcorev1.NodesGetter
	Labels map[string]string // --node-labels

	Runtime interface {
		Runtime
		Version(context.Context, *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error)
	}
	Images  Images
	Numbers Numbers
	Healthy func() error
	Event   func(kind, reason, message string)
	Version string // of the kubelet
	Log     *slog.Logger
}

// NewReporter returns the Reporter of a kubelet, which the configuration describes.
func NewReporter(ctx context.Context, conf *config.Configuration, node criconfig.Node, p Parts) (*Reporter, error) {
	thresholds, err := ParseThresholds(conf.EvictionHard)
	if err != nil {
		return nil, err
	}
	version, err := p.Runtime.Version(ctx, &runtimeapi.VersionRequest{Version: "0.1.0"})
	if err != nil {
		return nil, fmt.Errorf("ask the container runtime for its version: %w", err)
	}
	fixed := Facts{IPs: node.IPs, Hostname: node.Name, Info: SystemInfo("/", version, p.Version), Port: conf.Port, MaxImages: int(*conf.NodeStatusMaxImages),
		Capacity: node.Capacity.DeepCopy(), Allocatable: node.Allocatable.DeepCopy()}
	capacity, allocatable, err := Storage(node.RootDir, "/", thresholds)
	if err != nil {
		return nil, err
	}
	maps.Copy(fixed.Capacity, capacity)
	maps.Copy(fixed.Allocatable, allocatable)
	return &Reporter{
		Nodes: p.Nodes, Register: *conf.RegisterNode, Fixed: fixed,
		Identity: Identity{Name: node.Name, Labels: p.Labels, Taints: conf.RegisterWithTaints, ProviderID: conf.ProviderID},
		Runtime:  p.Runtime, Images: p.Images, Numbers: p.Numbers, Healthy: p.Healthy,
		Thresholds: thresholds, Damper: Damper{Period: conf.EvictionPressureTransitionPeriod.Duration},
		Update: conf.NodeStatusUpdateFrequency.Duration, Report: conf.NodeStatusReportFrequency.Duration,
		Event: p.Event, Log: p.Log,
	}, nil
}

// Refuse returns why a new pod may not run on the node as it is, or nil.
func (r *Reporter) Refuse(pod *corev1.Pod, critical bool) *criconfig.Rejection {
	if short := r.Pressure().Refuse(critical, criconfig.QOS(pod)); short != "" {
		return &criconfig.Rejection{Reason: "Evicted", Message: fmt.Sprintf("The node had condition: [%s]. ", short)}
	}
	return nil
}
