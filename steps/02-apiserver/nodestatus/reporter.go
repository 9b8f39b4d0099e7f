package nodestatus

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/config"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
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

// NewReporter returns the Reporter of a kubelet, which the configuration describes. The
// node has what [Resources] says.
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
		Capacity: node.Capacity, Allocatable: node.Allocatable}
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

// Misplaced returns why the pod may not be on this node at all, whoever else is there, or
// nil. What was seen of the node last decides, unless it speaks against the pod: then the
// API server is asked, for labels may have been set for this very pod.
//
// Upstream: predicateAdmitHandler of pkg/kubelet/lifecycle.
func (r *Reporter) Misplaced(ctx context.Context, pod *corev1.Pod) *criconfig.Rejection {
	refused := misplaced(r.node(), pod)
	if refused == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	node, err := r.Nodes.Nodes().Get(ctx, r.Identity.Name, metav1.GetOptions{})
	if err != nil {
		r.Log.Warn("node not asked for again", "pod", pod.Namespace+"/"+pod.Name, "refused", refused.Reason, "err", err)
		return refused
	}
	return misplaced(node, pod)
}

// patience is for an API server that does not answer.
const patience = 5 * time.Second

// misplaced: a static pod is not driven away by taints, nobody would put it elsewhere.
func misplaced(node *corev1.Node, pod *corev1.Pod) *criconfig.Rejection {
	const predicate = "Predicate %s failed: %s"
	if fits, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(node); !fits || err != nil {
		return &criconfig.Rejection{Reason: "NodeAffinity", Message: fmt.Sprintf(predicate, "NodeAffinity", "node(s) didn't match Pod's node affinity/selector")}
	}
	drivesAway := func(t *corev1.Taint) bool { return t.Effect == corev1.TaintEffectNoExecute }
	if _, tainted := corev1helpers.FindMatchingUntoleratedTaint(klog.Background(), node.Spec.Taints, pod.Spec.Tolerations, drivesAway, true); tainted && !podsource.IsStatic(pod) {
		return &criconfig.Rejection{Reason: "TaintToleration", Message: fmt.Sprintf(predicate, "TaintToleration", "node(s) had taints that the pod didn't tolerate")}
	}
	return nil
}
