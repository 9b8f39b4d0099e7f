package hollow

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"golang.org/x/sync/errgroup"
)

// A Fleet keeps a cluster's hollow nodes: exactly as many as it is told, whatever
// an earlier fleet has left.
type Fleet struct {
	Client kubernetes.Interface
	Nodes  int
	Model  Model
	Clock  clock.WithTicker
	Log    *slog.Logger
}

// workers is how many requests are under way at once.
const workers = 16

// Run makes the nodes and is their kubelets until ctx is done. The nodes stay
// when it returns, as real ones do when their kubelet is stopped: a Fleet of 0
// takes them away. An error means that they could not be made.
func (f *Fleet) Run(ctx context.Context) error {
	if err := f.settle(ctx); err != nil {
		return err
	}
	f.Log.Info("the nodes are there", "nodes", f.Nodes)
	ctx, stop := context.WithCancel(ctx)
	var parts sync.WaitGroup
	parts.Go(func() { f.renew(ctx) })
	f.runPods(ctx)
	stop()
	parts.Wait()
	return nil
}

// settle makes the nodes that are missing, changes those that are different, and
// removes those beyond the last.
func (f *Fleet) settle(ctx context.Context) error {
	have, err := f.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: Label})
	if err != nil {
		return fmt.Errorf("list hollow nodes: %w", err)
	}
	there := map[string]*corev1.Node{}
	for i := range have.Items {
		there[have.Items[i].Name] = &have.Items[i]
	}
	all, within := errgroup.WithContext(ctx)
	all.SetLimit(workers)
	for i := range f.Nodes {
		node, name := there[nodeName(i+1)], nodeName(i+1)
		delete(there, name)
		all.Go(func() error { return f.register(within, i+1, node) })
	}
	for name := range there {
		all.Go(func() error { return f.remove(within, name) })
	}
	return all.Wait()
}

// register writes a node, or what is different in the one that there is.
func (f *Fleet) register(ctx context.Context, i int, have *corev1.Node) (err error) {
	nodes, want := f.Client.CoreV1().Nodes(), f.Model.node(i, f.Clock.Now())
	if have == nil {
		// Upstream's API server taints a new node as not ready, for its node controller
		// to take that back. Nobody has to wait here.
		if have, err = nodes.Create(ctx, want, metav1.CreateOptions{}); err == nil && len(have.Spec.Taints) > 0 {
			_, err = nodes.Patch(ctx, have.Name, types.MergePatchType, []byte(`{"spec":{"taints":null}}`), metav1.PatchOptions{})
		}
	} else {
		if labels := relabelled(have.Labels, want.Labels); !maps.Equal(have.Labels, labels) {
			have.Labels = labels
			have, err = nodes.Update(ctx, have, metav1.UpdateOptions{})
		}
		if err == nil && !equality.Semantic.DeepEqual(have.Status.Allocatable, want.Status.Allocatable) {
			have.Status = want.Status
			_, err = nodes.UpdateStatus(ctx, have, metav1.UpdateOptions{})
		}
	}
	if err != nil {
		return fmt.Errorf("register %s: %w", want.Name, err)
	}
	return nil
}

// relabelled are a node's labels as the model wants them, with those that others have
// given it.
func relabelled(have, want map[string]string) map[string]string {
	labels := maps.Clone(have)
	delete(labels, corev1.LabelTopologyZone) // there may be no zones any more
	maps.Copy(labels, want)
	return labels
}

// remove deletes a node and its Lease. Its pods end when they are seen.
func (f *Fleet) remove(ctx context.Context, name string) error {
	err := f.Client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	err = f.Client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove the Lease of %s: %w", name, err)
	}
	return nil
}

// renew renews all Leases, a slice of them at a time, until ctx is done.
func (f *Fleet) renew(ctx context.Context) {
	if f.Nodes == 0 {
		return
	}
	every := renewEvery(f.Nodes)
	slot := f.Clock.NewTicker(every / time.Duration(f.Nodes))
	defer slot.Stop()
	var renewing errgroup.Group // none waits for the answer to the one before
	renewing.SetLimit(workers)
	defer renewing.Wait()
	for i := 0; ; i = (i + 1) % f.Nodes {
		name := nodeName(i + 1)
		renewing.Go(func() error {
			if err := f.renewOne(ctx, name, every); err != nil && ctx.Err() == nil {
				f.Log.Warn("renew a Lease", "node", name, "err", err)
			}
			return nil
		})
		select {
		case <-slot.C():
		case <-ctx.Done():
			return
		}
	}
}

func (f *Fleet) renewOne(ctx context.Context, name string, every time.Duration) error {
	leases := f.Client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	l := lease(name, every, f.Clock.Now())
	patch, err := json.Marshal(map[string]any{"spec": l.Spec})
	if err != nil {
		return err
	}
	_, err = leases.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	if apierrors.IsNotFound(err) {
		_, err = leases.Create(ctx, l, metav1.CreateOptions{})
	}
	return err
}

// runPods does for every pod on the fleet's nodes what its kubelet would have
// said that it has done.
func (f *Fleet) runPods(ctx context.Context) {
	bound := informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermNotEqualSelector("spec.nodeName", "").String()
	})
	factory := informers.NewSharedInformerFactoryWithOptions(f.Client, 0, bound)
	pods := factory.Core().V1().Pods()
	if err := pods.Informer().AddIndexers(cache.Indexers{byNode: nodeOf}); err != nil {
		f.Log.Error("watch pods", "err", err)
		return
	}
	gate := newGate(f.Model.Allocatable, pods.Informer().GetIndexer())
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[types.NamespacedName]())
	changed := func(obj any) {
		pod, ok := obj.(*corev1.Pod)
		if !ok {
			return
		}
		if pod.Status.Phase != corev1.PodPending {
			gate.seen(pod.UID)
		}
		if decide(pod, f.Nodes) != nothing {
			queue.Add(types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name})
		}
	}
	gone := func(obj any) {
		if last, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = last.Obj
		}
		if pod, ok := obj.(*corev1.Pod); ok {
			gate.seen(pod.UID)
		}
	}
	if _, err := pods.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: changed, UpdateFunc: func(_, now any) { changed(now) }, DeleteFunc: gone,
	}); err != nil {
		f.Log.Error("watch pods", "err", err)
		return
	}
	factory.Start(ctx.Done())
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for f.next(ctx, queue, pods.Lister(), gate) {
			}
		})
	}
	<-ctx.Done()
	queue.ShutDown()
	working.Wait()
	factory.Shutdown()
}

func (f *Fleet) next(ctx context.Context, queue workqueue.TypedRateLimitingInterface[types.NamespacedName], pods corelisters.PodLister, gate *gate) bool {
	key, quit := queue.Get()
	if quit {
		return false
	}
	defer queue.Done(key)
	err := f.sync(ctx, key, pods, gate)
	if err != nil && ctx.Err() == nil {
		f.Log.Warn("pod", "pod", key, "err", err)
		queue.AddRateLimited(key)
		return true
	}
	queue.Forget(key)
	return true
}

func (f *Fleet) sync(ctx context.Context, key types.NamespacedName, pods corelisters.PodLister, gate *gate) error {
	pod, err := pods.Pods(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		return nil
	} else if err != nil {
		return err
	}
	switch decide(pod, f.Nodes) {
	case run:
		status := running(pod, f.Clock.Now())
		if why := gate.admit(pod); why != nil {
			status = refused(why)
		}
		err = f.say(ctx, pod, status)
	case end:
		err = f.Client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: ptr.To(int64(0)), Preconditions: metav1.NewUIDPreconditions(string(pod.UID)),
		})
	}
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // it is another pod by now, or none
		return nil
	}
	return err
}

// say patches the status: the scheduler's condition stays.
func (f *Fleet) say(ctx context.Context, pod *corev1.Pod, status corev1.PodStatus) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID},
		"status":   status,
	})
	if err != nil {
		return err
	}
	_, err = f.Client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}
