package kubelet

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/backoff"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podstatus"
)

// A worker lives one pod's life, in a goroutine of its own: it runs the pod
// until it is told to stop, stops it, releases what it held, and ends when no
// source wants the pod any more. It never goes back.
type worker struct {
	uid   types.UID
	name  string        // namespace/name
	awake chan struct{} // has a token when there may be something to do

	// Guarded by Kubelet.mu.
	pod      *corev1.Pod
	order    order
	ending   ending      // when order is stop
	unwanted bool        // no source wants the pod: forget it when it is released
	next     *corev1.Pod // wanted again since then: another life, which begins after this one
	launched bool
	alive    bool // holds its name: something of it may run
	admitted bool // has its share of the node
	cancel   context.CancelFunc
	granted  *corev1.Pod          // the pod with the resources that it may have now; nil before it is admitted
	pending  *corev1.PodCondition // why it has not got what it asks for
	status   corev1.PodStatus

	// The goroutine's own.
	stopped  bool
	released bool
	marked   bool                                    // for deletion, when the sink was told that the pod is released
	resized  bool                                    // it was granted other resources, and it was not said yet that it has them
	resizing error                                   // why the last resize did not succeed
	failures int                                     // in a row
	waiting  map[string]corev1.ContainerStateWaiting // why containers could not start
	crashes  map[string]*backoff.Backoff             // by keyOf

	// notBefore keeps a container that could not be started from being tried
	// again at every chance; by keyOf.
	notBefore map[string]time.Time
}

// An order is what a worker is told to do.
type order int

const (
	run  order = iota
	wait       // found in the runtime: leave it as it is until the sources have spoken
	stop
)

// An ending is how and why a pod is stopped.
type ending struct {
	grace  *int64            // seconds, instead of the pod's own
	failed podstatus.Failure // why the kubelet ends it; zero when a source or the pod itself did
}

func newWorker(pod *corev1.Pod) *worker {
	return &worker{
		uid: pod.UID, name: nameOf(pod), pod: pod, awake: make(chan struct{}, 1),
		waiting: map[string]corev1.ContainerStateWaiting{}, crashes: map[string]*backoff.Backoff{},
		notBefore: map[string]time.Time{},
	}
}

// poke wakes the worker; pokes that it has not seen yet are one.
func (w *worker) poke() {
	select {
	case w.awake <- struct{}{}:
	default:
	}
}

// stop orders the end of the pod, and interrupts what the worker is doing for
// it. A second order only matters when it leaves less time; the first reason to
// fail the pod stays. It reports whether anything has changed. The caller holds
// Kubelet.mu.
func (w *worker) stop(e ending) (changed bool) {
	if w.order == stop {
		if e.grace == nil || w.ending.grace != nil && *w.ending.grace <= *e.grace {
			return false
		}
		if w.ending.failed != (podstatus.Failure{}) {
			e.failed = w.ending.failed
		}
	}
	w.order, w.ending = stop, e
	if w.cancel != nil {
		w.cancel()
	}
	w.poke()
	return true
}

// A turn is what a worker has to do this time.
type turn struct {
	pod      *corev1.Pod
	order    order
	ending   ending
	unwanted bool
}

// work runs the worker until the pod is forgotten or ctx is done.
func (k *Kubelet) work(ctx context.Context, w *worker) {
	for {
		again, gone := k.step(ctx, w)
		if gone {
			k.forget(ctx, w)
			return
		}
		timer := time.NewTimer(again)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-w.awake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// step does what there is to do now, and says when to look again if nothing
// wakes the worker before, or that the pod is gone.
func (k *Kubelet) step(ctx context.Context, w *worker) (again time.Duration, gone bool) {
	ctx, t, ok := k.begin(ctx, w)
	if !ok {
		return k.Resync, false
	}
	defer k.finish(w)
	log := k.Log.With("pod", w.name)

	var err error
	if t.order == run {
		again, err = k.sync(ctx, w, t.pod)
	} else {
		again, gone, err = k.end(ctx, w, t)
	}
	switch {
	case err == nil:
		w.failures = 0
		return min(again, k.Resync), gone
	case ctx.Err() != nil:
		return 0, false // the order has changed, or the kubelet ends
	}
	log.Error("sync pod", "err", err)
	w.failures++
	return min(10*time.Second, time.Second<<min(w.failures-1, 4)), false
}

// begin reads the worker's orders. It is not ok to begin while another pod of
// the same name runs: a static pod whose file has changed is a new pod, with a
// new UID, and the old one has to be gone first.
func (k *Kubelet) begin(ctx context.Context, w *worker) (context.Context, turn, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := turn{w.pod, w.order, w.ending, w.unwanted}
	if w.order == run && !w.alive {
		for _, other := range k.workers {
			if other != w && other.alive && other.name == w.name {
				return ctx, t, false
			}
		}
		w.alive = true
	}
	ctx, w.cancel = context.WithCancel(ctx)
	return ctx, t, w.order != wait
}

func (k *Kubelet) finish(w *worker) {
	k.mu.Lock()
	defer k.mu.Unlock()
	w.cancel()
	w.cancel = nil
}

// end is the rest of a pod's life after it was ordered to stop: it is stopped,
// what it held on the node is released, and when no source wants it any more
// its dead containers and its directories are removed too.
func (k *Kubelet) end(ctx context.Context, w *worker, t turn) (again time.Duration, gone bool, err error) {
	if !w.stopped {
		if err := k.stopPod(ctx, w, t); err != nil {
			return 0, false, err
		}
		w.stopped = true
	}
	if !w.released {
		if err := k.release(ctx, t.pod); err != nil {
			return 0, false, err
		}
		w.released = true
		k.freeName(w)
		k.Status.Released(t.pod)
		w.marked = t.pod.DeletionTimestamp != nil
	}
	if t.pod.DeletionTimestamp != nil && !w.marked { // since then
		w.marked = true
		k.Status.Released(t.pod)
	}
	if !t.unwanted {
		return k.Resync, false, nil
	}
	if err := k.removePod(ctx, t.pod); err != nil {
		return 0, false, err
	}
	return 0, true, nil
}

// forget takes a worker off the list that has done all there was to do, and lets
// the pod begin again if a source wants it again by now.
func (k *Kubelet) forget(ctx context.Context, w *worker) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.workers, w.uid)
	if w.next != nil && ctx.Err() == nil {
		k.want(ctx, w.next)
	}
}

// freeName lets a pod of the same name, if one waits, begin, and those who wait for room
// look again.
func (k *Kubelet) freeName(w *worker) {
	k.mu.Lock()
	defer k.mu.Unlock()
	w.alive = false
	for _, other := range k.workers {
		if other.name == w.name || other.held() != other.pod {
			other.poke()
		}
	}
}
