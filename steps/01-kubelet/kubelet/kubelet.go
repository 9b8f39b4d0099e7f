// Package kubelet is the node agent: it makes the pods of this node be as their
// specs say, and keeps them so.
//
// It is a loop around two questions. What should be? The [podsource.Source]s
// say, each time with their complete set. What is? The runtime says, and nobody
// else: the kubelet keeps no book about its containers, so it may be killed at
// any moment and its successor finds them all. The difference, for one pod, is
// turned into the next few actions by decide, a function without side effects,
// and the actions are carried out by the pod's worker, a goroutine of its own:
//
//	sources ──sets──▶ Kubelet ──wake──▶ worker(pod): observe → decide → act → report
//	runtime ─changes──────┘                               │
//	probes  ─results──────┘                               ▼
//	                                               runtime, volumes, cgroups
//
// Everything happens because a worker was woken: by a new set of pods, by a
// change in the runtime that the relist saw, by a probe's result, or by time.
// A worker that is woken for nothing finds nothing to do, so no event has to
// carry meaning and none that is lost does harm.
//
// Upstream: pkg/kubelet/kubelet.go (the loop), pod_workers.go (one pod's life)
// and kuberuntime/kuberuntime_manager.go (what is done for it).
package kubelet

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/backoff"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/event"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/observed"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podstatus"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/probe"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
)

// A Runtime is the container runtime: the CRI, in this process or behind a
// socket.
type Runtime = runtimeapi.RuntimeServiceServer

// Volumes brings a pod's volumes to the node. *[volume.Manager] does.
type Volumes interface {
	Mount(ctx context.Context, pod *corev1.Pod) (map[string]volume.Mounted, error)
	SubPaths(pod *corev1.Pod, container string, mounted map[string]volume.Mounted) func(index int, volumeName, subPath string) (string, error)
	Unmount(ctx context.Context, uid types.UID) error
}

// Probes watches the health of containers. *[probe.Manager] does.
type Probes interface {
	Add(pod *corev1.Pod)
	StopLivenessAndStartup(uid types.UID)
	Remove(uid types.UID)
	Updates() <-chan probe.Update
	Result(kind probe.Kind, containerID string) (probe.Result, bool)
	SetStarted(pod *corev1.Pod, status *corev1.PodStatus)
	Hurry(uid types.UID, status *corev1.PodStatus)
}

// Cgroups makes the cgroup that holds a pod's sandbox and containers.
// *cgroup.Manager does.
type Cgroups interface {
	// Apply makes the pod's cgroup, or brings it up to date, and returns its
	// path below each hierarchy's mount.
	Apply(pod *corev1.Pod) (path string, err error)
	// Path returns it without doing anything.
	Path(pod *corev1.Pod) string
	// Remove removes it. It succeeds when there is none.
	Remove(uid types.UID) error
}

// IDs takes back the user ids of pods that had some of their own.
// *userns.Allocator does.
type IDs interface {
	Release(uid types.UID) error
}

// Images gets images onto the node. *imagepull.Puller does.
type Images interface {
	// Ensure makes the container's image be there, as its pull policy says.
	// When that fails, why says so in the words of a container status.
	Ensure(ctx context.Context, pod *corev1.Pod, c *corev1.Container, sandbox *runtimeapi.PodSandboxConfig) (image *runtimeapi.Image, why *corev1.ContainerStateWaiting)
}

// Hooks runs a container's lifecycle handlers. *lifecycle.Runner does.
type Hooks interface {
	Run(ctx context.Context, pod *corev1.Pod, c *corev1.Container, containerID, podIP string, h *corev1.LifecycleHandler) error
}

// A Kubelet runs the pods of one node. Its exported fields are set before Run
// and do not change then.
type Kubelet struct {
	Node    criconfig.Node
	Sources []podsource.Source
	Runtime Runtime
	Images  Images
	Volumes Volumes
	Cgroups Cgroups
	IDs     IDs // may be nil
	Probes  Probes
	Hooks   Hooks
	Status  podstatus.Sink
	Events  event.Recorder
	Log     *slog.Logger

	// Admit decides whether a pod may run here, beside those that do; a nil
	// result lets it in. It must not call the Kubelet.
	Admit func(pod *corev1.Pod, others []*corev1.Pod) *criconfig.Rejection

	// Misplaced returns why a pod may not be on this node at all, or nil; it may take
	// its time. A nil Misplaced lets all in.
	Misplaced func(ctx context.Context, pod *corev1.Pod) *criconfig.Rejection

	// Warn names the fields that a pod sets and this kubelet does not honour,
	// or returns ""; they are reported once, as an event. It may be nil.
	Warn func(pod *corev1.Pod) string

	// Started is told of every container that was started, and where its log
	// is; it may be nil.
	Started func(pod *corev1.Pod, c *corev1.Container, id, log string)

	// Objects and BaseEnv are for containers' environments; see
	// [criconfig.Input]. Both may be nil. A container for which BaseEnv returns
	// an error waits, and is tried again.
	Objects criconfig.Objects
	BaseEnv func(*corev1.Pod) ([]corev1.EnvVar, error)

	Relist  time.Duration  // how often the runtime is asked what has changed; 0 means 1 s
	Resync  time.Duration  // how often a pod is looked at without a reason; 0 means 1 minute
	Restart backoff.Policy // between restarts of a container that crashes; zero means [backoff.Default]

	runtimeName string // scheme of container IDs

	mu       sync.Mutex // guards the fields below, and the fields of workers that say so
	workers  map[types.UID]*worker
	desired  map[string][]*corev1.Pod // by source; present once the source has spoken
	relisted time.Time                // last success
	running  sync.WaitGroup
}

// Run runs the node's pods until ctx is done, or a source fails for good. The
// pods go on without it: a kubelet that ends, however it ends, stops nothing.
func (k *Kubelet) Run(ctx context.Context) error {
	if err := k.Adopt(ctx); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer k.running.Wait()
	defer stop()

	failed := make(chan error, len(k.Sources))
	for _, s := range k.Sources {
		k.running.Go(func() {
			err := s.Run(ctx, func(pods []*corev1.Pod) { k.set(ctx, s.Name(), pods) })
			if err != nil {
				failed <- fmt.Errorf("pod source %s: %w", s.Name(), err)
			}
		})
	}
	changes := k.subscribe(ctx)
	relist := time.NewTicker(k.Relist)
	defer relist.Stop()
	seen := map[types.UID]string{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case u := <-k.Probes.Updates():
			k.Wake(u.Pod)
		case e, ok := <-changes:
			if !ok {
				changes = nil // no more of them: relisting will do
				continue
			}
			k.Wake(types.UID(e.GetPodSandboxStatus().GetMetadata().GetUid()))
		case <-relist.C:
			seen = k.relist(ctx, seen)
		}
	}
}

// subscribe returns the runtime's events, if it has any. They save the time until
// the next relist and nothing more: one that is lost does no harm.
func (k *Kubelet) subscribe(ctx context.Context) <-chan *runtimeapi.ContainerEventResponse {
	if s, ok := k.Runtime.(interface {
		Subscribe(context.Context) <-chan *runtimeapi.ContainerEventResponse
	}); ok {
		return s.Subscribe(ctx)
	}
	return nil
}

// Adopt takes over what an earlier kubelet has left in the runtime: each pod gets
// a worker, which waits to be told whether a source still wants the pod. Run does
// this first; who answers questions about pods before it runs calls it before.
func (k *Kubelet) Adopt(ctx context.Context) error {
	if k.workers != nil {
		return nil
	}
	k.Relist, k.Resync = orDefault(k.Relist, time.Second), orDefault(k.Resync, time.Minute)
	k.Restart = orDefault(k.Restart, backoff.Default)
	v, err := k.Runtime.Version(ctx, &runtimeapi.VersionRequest{Version: "0.1.0"})
	if err != nil {
		return fmt.Errorf("ask the container runtime for its version: %w", err)
	}
	k.runtimeName = v.RuntimeName
	pods, err := observed.List(ctx, k.Runtime)
	if err != nil {
		return fmt.Errorf("find the pods that run already: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.workers, k.desired = map[types.UID]*worker{}, map[string][]*corev1.Pod{}
	k.relisted = time.Now()
	for _, p := range pods {
		w := newWorker(p.Spec())
		w.order, w.alive, w.admitted = wait, p.Alive(), true
		k.workers[w.uid] = w
	}
	return nil
}

// set takes a source's complete set of pods.
func (k *Kubelet) set(ctx context.Context, source string, pods []*corev1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	k.desired[source] = pods
	wanted, names := map[types.UID]bool{}, map[string]types.UID{}
	for _, pods := range k.desired {
		for _, pod := range pods {
			wanted[pod.UID], names[nameOf(pod)] = true, pod.UID
			k.want(ctx, pod)
		}
	}
	for uid, w := range k.workers {
		successor, replaced := names[w.name]
		// A pod that nobody has asked for yet may still be wanted by a source
		// that has not spoken, unless another pod was given its name.
		if !wanted[uid] && (len(k.desired) == len(k.Sources) || replaced && successor != uid) {
			k.unwant(ctx, w)
		}
	}
}

// want makes sure that the pod has a worker and that the worker has the newest
// spec. A pod that comes back while it is being stopped, as that of a manifest
// which was moved away and back does, begins anew after that. The caller holds mu.
func (k *Kubelet) want(ctx context.Context, pod *corev1.Pod) {
	w := k.workers[pod.UID]
	if w != nil && w.unwanted {
		w.next = pod
		return
	}
	if w == nil {
		w = newWorker(pod)
		k.workers[pod.UID] = w
	}
	news := w.order == wait || !equality.Semantic.DeepEqual(w.pod, pod)
	w.pod = pod
	if w.order == wait {
		w.order = run
	}
	if pod.DeletionTimestamp != nil {
		w.stop(ending{grace: pod.DeletionGracePeriodSeconds})
	}
	k.launch(ctx, w)
	if news { // about this pod, not only about another one of the set
		w.poke()
	}
}

// unwant has the pod stopped and forgotten. The caller holds mu.
func (k *Kubelet) unwant(ctx context.Context, w *worker) {
	w.next = nil
	k.launch(ctx, w)
	if !w.unwanted {
		w.unwanted = true
		w.stop(ending{})
		w.poke()
	}
}

func (k *Kubelet) launch(ctx context.Context, w *worker) {
	if !w.launched {
		w.launched = true
		k.running.Go(func() { k.work(ctx, w) })
	}
}

// Wake has the pod's worker look at it again: something that the pod depends on
// has changed. It may be called for nothing, and for a pod that is not there.
func (k *Kubelet) Wake(uid types.UID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if w := k.workers[uid]; w != nil {
		w.poke()
	}
}

// relist asks the runtime what there is and wakes the workers of those pods in
// which something has changed since seen, what the last relist returned.
// Upstream calls this the pod lifecycle event generator (pkg/kubelet/pleg).
func (k *Kubelet) relist(ctx context.Context, seen map[types.UID]string) map[types.UID]string {
	pods, err := observed.List(ctx, k.Runtime)
	if err != nil {
		k.Log.Error("relist", "err", err)
		return seen
	}
	now := map[types.UID]string{}
	for uid, p := range pods {
		now[uid] = p.Summary()
		if now[uid] != seen[uid] {
			k.Wake(uid)
		}
	}
	for uid := range seen {
		if pods[uid] == nil {
			k.Wake(uid)
		}
	}
	k.mu.Lock()
	k.relisted = time.Now()
	k.mu.Unlock()
	return now
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func nameOf(pod *corev1.Pod) string { return pod.Namespace + "/" + pod.Name }
