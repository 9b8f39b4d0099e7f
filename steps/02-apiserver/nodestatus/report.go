package nodestatus

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A Reporter registers the node and reports its status. Its exported fields are set
// before Run.
type Reporter struct {
	Nodes    typedcorev1.NodesGetter
	Identity Identity
	Register bool  // else somebody else makes the Node
	Fixed    Facts // what does not change while the kubelet runs

	// What is looked at each time.
	Runtime Runtime
	Images  Images
	Numbers Numbers
	Healthy func() error // why the kubelet itself is not well

	Thresholds map[Signal]Threshold
	Damper     Damper

	Update time.Duration // how often the node is looked at; nodeStatusUpdateFrequency
	Report time.Duration // how often it is reported unchanged; nodeStatusReportFrequency

	// Event tells of something that happened to the node.
	Event func(kind, reason, message string)
	Log   *slog.Logger

	soon chan struct{}
	once sync.Once

	mu       sync.Mutex   // guards the fields below
	seen     *corev1.Node // as it was seen last
	pressure Pressure
	leaving  string // why no pod may run here any more
	reported time.Time
}

// UID returns that of the Node object, or "" before it is known.
func (r *Reporter) UID() types.UID {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		return ""
	}
	return r.seen.UID
}

// node returns the Node object as it was seen last, or as it is to be made.
func (r *Reporter) node() *corev1.Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		return New(r.Identity, r.Fixed)
	}
	return r.seen
}

// Allocatable returns what the node has for pods, with what others have added to that,
// such as a device plugin.
func (r *Reporter) Allocatable() corev1.ResourceList { return r.node().Status.Allocatable }

// Pressure returns what the node was short of last.
func (r *Reporter) Pressure() Pressure {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pressure
}

// Leave makes the node NotReady from now on, and says so at once; "" takes it back.
func (r *Reporter) Leave(why string) {
	r.mu.Lock()
	r.leaving = why
	r.mu.Unlock()
	select {
	case r.wake() <- struct{}{}:
	default:
	}
}

func (r *Reporter) wake() chan struct{} {
	r.once.Do(func() { r.soon = make(chan struct{}, 1) })
	return r.soon
}

// Run registers the node, as long as that takes, and then reports it until ctx is
// done.
func (r *Reporter) Run(ctx context.Context) error {
	registered := !r.Register
	for wait := 200 * time.Millisecond; ; {
		var err error
		if !registered {
			err = r.register(ctx)
			registered = err == nil
		} else {
			err = r.update(ctx)
		}
		next := r.Update
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !registered:
			r.Log.Warn("node not registered, will try again", "err", err)
			next, wait = wait, min(7*time.Second, 2*wait)
		case err != nil:
			r.Log.Warn("node status not reported, will try again", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake():
		case <-time.After(next):
		}
	}
}

// register makes the Node, or takes the one there is, whose default labels it puts
// right.
func (r *Reporter) register(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	wanted := New(r.Identity, r.look(ctx))
	made, err := r.Nodes.Nodes().Create(ctx, wanted, metav1.CreateOptions{})
	if err == nil {
		r.found(made)
		r.Log.Info("node registered", "uid", made.UID)
		return nil
	}
	if !apierrors.IsAlreadyExists(err) && !apierrors.IsForbidden(err) {
		return err
	}
	there, getErr := r.Nodes.Nodes().Get(ctx, r.Identity.Name, metav1.GetOptions{})
	if getErr != nil {
		return fmt.Errorf("%w; and the node that there may be: %w", err, getErr)
	}
	labels := map[string]string{}
	for name, value := range defaultLabels(r.Identity.Name) {
		if there.Labels[name] != value {
			labels[name] = value
		}
	}
	if len(labels) > 0 {
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels}})
		if err != nil {
			return err
		}
		if _, err := r.Nodes.Nodes().Patch(ctx, there.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return fmt.Errorf("put the labels of the node right: %w", err)
		}
	}
	r.found(there)
	r.Log.Info("node was registered before", "uid", there.UID)
	return nil
}

func (r *Reporter) found(node *corev1.Node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = node
}

// look measures the node.
func (r *Reporter) look(ctx context.Context) Facts {
	f := r.Fixed
	f.Now = metav1.Now()
	if images, err := r.Images.ListImages(ctx, &runtimeapi.ListImagesRequest{}); err != nil {
		r.Log.Warn("images not listed for the node's status", "err", err)
	} else {
		f.Images = images.GetImages()
	}
	status, err := r.Runtime.Status(ctx, &runtimeapi.StatusRequest{})
	f.Handlers, f.Features = status.GetRuntimeHandlers(), status.GetFeatures()
	f.NotReady = unwell(status, err)
	if err := r.Healthy(); err != nil {
		f.NotReady = append(f.NotReady, "PLEG is not healthy: "+err.Error())
	}
	f.Pressure = r.Damper.Observe(f.Now.Time, Short(r.Numbers.Node(ctx), r.Thresholds))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pressure = f.Pressure
	if r.leaving != "" {
		f.NotReady = append(f.NotReady, r.leaving)
	}
	return f
}

// update reports the node if there is something to say. Upstream asks a cache of
// the API server in the regular case, and so does this: what is asked for is as old
// as resourceVersion 0 allows, and the patch is against it.
func (r *Reporter) update(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	facts := r.look(ctx)
	node, err := r.Nodes.Nodes().Get(ctx, r.Identity.Name, metav1.GetOptions{ResourceVersion: "0"})
	if err != nil {
		return err
	}
	r.found(node)
	status := Status(node.Status, facts)
	if !Changed(node.Status, status) && time.Since(r.reported) < r.Report {
		return nil
	}
	patch, err := Patch(node.Status, status)
	if err != nil {
		return err
	}
	if _, err := r.Nodes.Nodes().Patch(ctx, node.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		return err
	}
	r.reported = time.Now()
	for _, event := range transitions(node.Status.Conditions, status.Conditions) {
		r.Event(corev1.EventTypeNormal, event, fmt.Sprintf("Node %s status is now: %s", node.Name, event))
	}
	return nil
}

// Patch returns the strategic merge patch from one status to another. The merge key
// of addresses is their type, of which a node with two addresses has two alike: so
// they are replaced as a whole.
func Patch(before, after corev1.NodeStatus) ([]byte, error) {
	addressesDiffer := !equality.Semantic.DeepEqual(before.Addresses, after.Addresses)
	addresses := after.Addresses
	before.Addresses, after.Addresses = nil, nil
	from, err := json.Marshal(corev1.Node{Status: before})
	if err != nil {
		return nil, err
	}
	to, err := json.Marshal(corev1.Node{Status: after})
	if err != nil {
		return nil, err
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(from, to, corev1.Node{})
	if err != nil || !addressesDiffer {
		return patch, err
	}
	var fields struct {
		Status map[string]any `json:"status"`
	}
	if err := json.Unmarshal(patch, &fields); err != nil {
		return nil, err
	}
	if fields.Status == nil {
		fields.Status = map[string]any{}
	}
	list := []any{map[string]string{"$patch": "replace"}}
	for _, a := range addresses {
		list = append(list, a)
	}
	fields.Status["addresses"] = list
	return json.Marshal(fields)
}
