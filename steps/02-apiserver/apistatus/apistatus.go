// Package apistatus is the status sink that tells the API server how the pods of
// this node are.
//
// Of each pod it keeps the newest status, and sends it when it can: what was
// reported while the API server was away is sent once, as the truth of the moment
// when it is back. A status is sent as a patch against what the API server has,
// which [Merge] decides about: the conditions of others stay, and a pod that has
// ended stays ended. The patch carries the pod's UID, so that it can't hit another
// pod of the same name.
//
// A pod that is marked for deletion goes on to exist until its node says that
// nothing of it is left. That is the last thing that the sink does for a pod:
// after [Sink.Released] and the final status it deletes the pod with a grace
// period of zero.
//
// A static pod's status is written to its mirror pod.
//
// Upstream: pkg/kubelet/status/status_manager.go.
package apistatus

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/util/workqueue"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podstatus"
)

// A Config describes a Sink.
type Config struct {
	Pods typedcorev1.PodsGetter

	// Known returns the newest that is known of a pod without asking, or nil. By
	// it the sink sees that somebody else has overwritten a status.
	Known func(namespace, name string) *corev1.Pod

	Every time.Duration // between two looks at all pods; 0 means 10 s
	Log   *slog.Logger
}

// A Sink sends statuses to the API server. Make it with [New].
type Sink struct {
	conf  Config
	queue workqueue.TypedRateLimitingInterface[types.UID]

	mu   sync.Mutex // guards pods
	pods map[types.UID]report
}

// A report is what the API server should know of one pod.
type report struct {
	pod      *corev1.Pod // as the kubelet has it
	status   corev1.PodStatus
	version  int  // counts statuses
	sent     int  // the version that the API server has
	released bool // nothing of the pod is left
}

var _ podstatus.Sink = (*Sink)(nil)

const (
	writers = 4                // how many pods are reported at once
	timeout = 30 * time.Second // of one pod's report
)

// New returns a sink. It sends nothing before Run.
func New(conf Config) *Sink {
	if conf.Every == 0 {
		conf.Every = 10 * time.Second
	}
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[types.UID](100*time.Millisecond, conf.Every)
	return &Sink{conf: conf, queue: workqueue.NewTypedRateLimitingQueue(limiter), pods: map[types.UID]report{}}
}

// Set implements [podstatus.Sink].
func (s *Sink) Set(pod *corev1.Pod, status corev1.PodStatus) {
	s.mu.Lock()
	r := s.pods[pod.UID]
	r.pod, r.status, r.version = pod, status, r.version+1
	r.released = false // a static pod may begin anew
	s.pods[pod.UID] = r
	s.mu.Unlock()
	s.queue.Add(pod.UID)
}

// Released implements [podstatus.Sink].
func (s *Sink) Released(pod *corev1.Pod) {
	s.mu.Lock()
	r, ok := s.pods[pod.UID]
	if ok {
		r.released = true
		s.pods[pod.UID] = r
	}
	s.mu.Unlock()
	s.queue.Add(pod.UID)
}

// Again sends a pod's status once more: its mirror pod is new.
func (s *Sink) Again(uid types.UID) {
	s.mu.Lock()
	r, ok := s.pods[uid]
	if ok {
		r.sent = 0
		s.pods[uid] = r
	}
	s.mu.Unlock()
	s.queue.Add(uid)
}

// Run sends until ctx is done. What it has not sent then, the next kubelet finds
// out anew.
func (s *Sink) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for range writers {
		group.Go(func() error {
			for s.next(ctx) {
			}
			return nil
		})
	}
	tick := time.NewTicker(s.conf.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.queue.ShutDown()
			return group.Wait()
		case <-tick.C:
			s.review()
		}
	}
}

// next reports one pod, and reports whether to go on.
func (s *Sink) next(ctx context.Context) bool {
	uid, shutdown := s.queue.Get()
	if shutdown {
		return false
	}
	defer s.queue.Done(uid)
	err := s.send(ctx, uid)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.conf.Log.Warn("pod status not sent, will be sent again", "uid", uid, "err", err)
		s.queue.AddRateLimited(uid)
	default:
		s.queue.Forget(uid)
	}
	return true
}

// review looks for pods of which the API server does not know the truth.
func (s *Sink) review() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for uid, r := range s.pods {
		if r.sent < r.version || s.overwritten(r) {
			s.queue.Add(uid)
		}
	}
}

func (s *Sink) overwritten(r report) bool {
	known := s.conf.Known(r.pod.Namespace, r.pod.Name)
	if known == nil || !shows(known, r.pod) {
		return false
	}
	patch, err := patchFor(known, Merge(known.Status, r.status, podsource.IsStatic(r.pod)))
	return err != nil || patch != nil || r.released && known.DeletionTimestamp != nil
}

// send brings the API server up to date about one pod.
func (s *Sink) send(ctx context.Context, uid types.UID) error {
	s.mu.Lock()
	r, ok := s.pods[uid]
	s.mu.Unlock()
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client := s.conf.Pods.Pods(r.pod.Namespace)
	live, err := client.Get(ctx, r.pod.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), err == nil && !shows(live, r.pod), apierrors.IsForbidden(err) && s.unknown(r.pod):
		s.gone(uid, r)
		return nil
	case err != nil:
		return fmt.Errorf("pod %s/%s: %w", r.pod.Namespace, r.pod.Name, err)
	}
	if err := s.patch(ctx, client, live, r); err != nil {
		return fmt.Errorf("patch the status of pod %s/%s: %w", r.pod.Namespace, r.pod.Name, err)
	}
	if !r.released || live.DeletionTimestamp == nil || podsource.IsStatic(r.pod) {
		return nil
	}
	if err := remove(ctx, client, live); err != nil {
		return fmt.Errorf("delete pod %s/%s: %w", r.pod.Namespace, r.pod.Name, err)
	}
	s.forget(uid)
	return nil
}

func (s *Sink) patch(ctx context.Context, client typedcorev1.PodInterface, live *corev1.Pod, r report) error {
	patch, err := patchFor(live, Merge(live.Status, r.status, podsource.IsStatic(r.pod)))
	if err != nil {
		return err
	}
	if patch != nil {
		if _, err := client.Patch(ctx, live.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
			return err
		}
		s.conf.Log.Debug("pod status sent", "pod", live.Namespace+"/"+live.Name, "patch", string(patch))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now, ok := s.pods[r.pod.UID]; ok {
		now.sent = max(now.sent, r.version)
		s.pods[r.pod.UID] = now
	}
	return nil
}

// remove ends the existence of a pod of which nothing is left. That somebody else
// has done so, or made another pod of that name, is as good.
func remove(ctx context.Context, client typedcorev1.PodInterface, pod *corev1.Pod) error {
	err := client.Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64), Preconditions: metav1.NewUIDPreconditions(string(pod.UID))})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// unknown says that the API server shows this node no such pod. A node that asks
// for it by name is forbidden to: what does not exist is bound to no node.
func (s *Sink) unknown(pod *corev1.Pod) bool { return s.conf.Known(pod.Namespace, pod.Name) == nil }

// gone: the API server does not have this pod. A static pod may only be waiting
// for its mirror.
func (s *Sink) gone(uid types.UID, r report) {
	if !podsource.IsStatic(r.pod) || r.released {
		s.forget(uid)
	}
}

func (s *Sink) forget(uid types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pods, uid)
}
