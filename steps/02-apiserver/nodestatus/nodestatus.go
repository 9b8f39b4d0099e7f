// Package nodestatus tells the API server about the node itself: that it is
// there, how large it is, what it has, and whether it is well.
//
// [Reporter] makes the Node object when the kubelet starts, and then looks at the
// node every ten seconds. What has changed is sent at once; when nothing has, the
// conditions' heartbeat goes out every five minutes, and the node's Lease is the
// proof of life in between. What to say is decided by functions of what was
// measured: [New] for the object, [Status] for its status, [Changed] for whether
// it is worth a request.
//
// Upstream: pkg/kubelet/kubelet_node_status.go and nodestatus/setters.go.
package nodestatus

import (
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// An Identity is what a Node is registered with. It does not change.
type Identity struct {
	Name       string
	Labels     map[string]string // beside those that every node has
	Taints     []corev1.Taint
	ProviderID string
}

// Facts are what was measured of a node.
type Facts struct {
	Now         metav1.Time
	IPs         []netip.Addr
	Hostname    string
	Capacity    corev1.ResourceList
	Allocatable corev1.ResourceList
	Info        corev1.NodeSystemInfo
	Port        int32 // of the kubelet's API
	Images      []*runtimeapi.Image
	MaxImages   int // -1 for no limit
	Handlers    []*runtimeapi.RuntimeHandler
	Features    *runtimeapi.RuntimeFeatures
	Pressure    Pressure
	NotReady    []string // why the node can't run pods
}

// defaultLabels are those that a kubelet puts right on an existing Node; others
// may have been changed by an administrator.
func defaultLabels(name string) map[string]string {
	return map[string]string{
		corev1.LabelHostname: name, corev1.LabelOSStable: runtime.GOOS, corev1.LabelArchStable: runtime.GOARCH,
		"beta.kubernetes.io/os": runtime.GOOS, "beta.kubernetes.io/arch": runtime.GOARCH,
	}
}

// New returns the Node object to register.
func New(id Identity, f Facts) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: id.Name, Labels: maps.Clone(id.Labels)}}
	if n.Labels == nil {
		n.Labels = map[string]string{}
	}
	maps.Copy(n.Labels, defaultLabels(id.Name))
	n.Spec.ProviderID = id.ProviderID
	for _, taint := range id.Taints {
		if taint.TimeAdded == nil && taint.Effect == corev1.TaintEffectNoExecute {
			taint.TimeAdded = &f.Now
		}
		n.Spec.Taints = append(n.Spec.Taints, taint)
	}
	n.Status = Status(corev1.NodeStatus{}, f)
	return n
}

// Status returns the status that a node has which had old: what others write there
// stays as it is.
func Status(old corev1.NodeStatus, f Facts) corev1.NodeStatus {
	s := *old.DeepCopy()
	s.Capacity, s.Allocatable = withOthers(f.Capacity, old.Capacity), withOthers(f.Allocatable, old.Allocatable)
	s.Addresses = addresses(f)
	s.NodeInfo = f.Info
	s.DaemonEndpoints.KubeletEndpoint.Port = f.Port
	s.Images = images(f.Images, f.MaxImages)
	s.RuntimeHandlers, s.Features = handlers(f.Handlers), features(f.Features)
	s.Conditions = conditions(old.Conditions, f)
	return s
}

// withOthers is what the kubelet has measured and, of what was there, the extended
// resources: whoever looks after a device counts it (upstream: IsExtendedResourceName).
func withOthers(measured, old corev1.ResourceList) corev1.ResourceList {
	all := maps.Clone(measured)
	for name, amount := range old {
		if _, ok := all[name]; !ok && strings.Contains(string(name), "/") && !strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix) {
			all[name] = amount
		}
	}
	return all
}

func addresses(f Facts) []corev1.NodeAddress {
	var all []corev1.NodeAddress
	for _, ip := range f.IPs {
		all = append(all, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: ip.String()})
	}
	return append(all, corev1.NodeAddress{Type: corev1.NodeHostName, Address: f.Hostname})
}

// maxNames bounds how many names of an image are told.
const maxNames = 5

// images returns the largest images, at most limit of them.
func images(all []*runtimeapi.Image, limit int) []corev1.ContainerImage {
	var out []corev1.ContainerImage
	for _, image := range all {
		names := slices.Concat(image.RepoDigests, image.RepoTags)
		if len(names) == 0 {
			continue
		}
		out = append(out, corev1.ContainerImage{Names: names[:min(maxNames, len(names))], SizeBytes: int64(image.Size)})
	}
	slices.SortFunc(out, func(a, b corev1.ContainerImage) int {
		if a.SizeBytes != b.SizeBytes {
			return int(max(-1, min(1, b.SizeBytes-a.SizeBytes)))
		}
		return strings.Compare(a.Names[0], b.Names[0])
	})
	if limit >= 0 && len(out) > limit {
		out = out[:limit]
	}
	return out
}

func handlers(all []*runtimeapi.RuntimeHandler) []corev1.NodeRuntimeHandler {
	var out []corev1.NodeRuntimeHandler
	for _, h := range all {
		one := corev1.NodeRuntimeHandler{Name: h.GetName()}
		if f := h.GetFeatures(); f != nil {
			one.Features = &corev1.NodeRuntimeHandlerFeatures{RecursiveReadOnlyMounts: &f.RecursiveReadOnlyMounts, UserNamespaces: &f.UserNamespaces}
		}
		out = append(out, one)
	}
	return out
}

func features(f *runtimeapi.RuntimeFeatures) *corev1.NodeFeatures {
	if f == nil {
		return nil
	}
	return &corev1.NodeFeatures{SupplementalGroupsPolicy: &f.SupplementalGroupsPolicy}
}

// Changed reports whether two statuses differ by more than the heartbeat.
func Changed(a, b corev1.NodeStatus) bool {
	a, b = *a.DeepCopy(), *b.DeepCopy()
	for _, s := range []*corev1.NodeStatus{&a, &b} {
		for i := range s.Conditions {
			s.Conditions[i].LastHeartbeatTime = metav1.Time{}
		}
		slices.SortFunc(s.Conditions, func(x, y corev1.NodeCondition) int { return strings.Compare(string(x.Type), string(y.Type)) })
	}
	return !equality.Semantic.DeepEqual(a, b)
}
