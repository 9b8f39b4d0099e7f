// Package apisource is the pod source that asks the API server: the pods whose
// spec.nodeName is this node.
//
// It lists them, and then watches; what it knows is a copy, and the copy outlives
// the connection. While the API server is away nothing changes, so nothing is
// stopped, for as long as that lasts. A kubelet that starts meanwhile has no copy
// yet: it says nothing at all, and the kubelet leaves alone what it finds in the
// runtime (see [podsource.Source]: nothing is stopped before every source has
// spoken).
//
// Mirror pods are not pods to run: they show the node's static pods to others.
// They are left out, and [Source.Mirrors] has them.
//
// Upstream: pkg/kubelet/config/apiserver.go.
package apisource

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
)

// A Source reports one node's pods. Make it with [New].
type Source struct {
	client   kubernetes.Interface
	mine     string // the field selector
	informer cache.SharedIndexInformer
	log      *slog.Logger
	dirty    chan struct{} // has a token when the copy is newer than what was reported
	changed  []func()
}

var _ podsource.Source = (*Source)(nil)

// New returns the source of the node's pods. Changed are called after every
// change, also of mirror pods, and must not block.
func New(client kubernetes.Interface, nodeName string, log *slog.Logger, changed ...func()) (*Source, error) {
	mine := fields.OneTermEqualSelector("spec.nodeName", nodeName).String()
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0,
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = mine }),
		informers.WithTransform(forgetManagers))
	s := &Source{client: client, mine: mine, informer: factory.Core().V1().Pods().Informer(), log: log, dirty: make(chan struct{}, 1), changed: changed}
	_, err := s.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { s.poke() },
		UpdateFunc: func(_, _ any) { s.poke() },
		DeleteFunc: func(any) { s.poke() },
	})
	if err != nil {
		return nil, fmt.Errorf("watch the pods of node %s: %w", nodeName, err)
	}
	return s, nil
}

// forgetManagers drops what is a third of a pod and of no use here.
func forgetManagers(object any) (any, error) {
	if pod, ok := object.(*corev1.Pod); ok {
		pod.ManagedFields = nil
	}
	return object, nil
}

func (s *Source) poke() {
	select {
	case s.dirty <- struct{}{}:
	default: // the newest set is on its way already
	}
	for _, f := range s.changed {
		f()
	}
}

// Name implements [podsource.Source].
func (s *Source) Name() string { return "api" }

// Run implements [podsource.Source]. It speaks when the first list has succeeded,
// be that days later.
func (s *Source) Run(ctx context.Context, update func([]*corev1.Pod)) error {
	if s.awaitServer(ctx) != nil {
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.informer.RunWithContext(ctx)
	}()
	defer func() { <-done }()
	if !cache.WaitForCacheSync(ctx.Done(), s.informer.HasSynced) {
		return nil
	}
	s.log.Info("the API server has told which pods are to run here", "pods", len(s.informer.GetStore().List()))
	for s.poke(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-s.dirty:
			update(s.pods())
		}
	}
}

// awaitServer returns when the API server has answered, or with ctx's error. An
// informer that begins to ask before there is anybody to answer waits longer from
// time to time, up to half a minute, and remembers that for two minutes more.
func (s *Source) awaitServer(ctx context.Context) error {
	return wait.PollUntilContextCancel(ctx, knock, true, func(ctx context.Context) (bool, error) {
		_, err := s.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: s.mine, Limit: 1})
		return err == nil, nil
	})
}

// knock is how often the API server is asked whether it is there at last.
const knock = 250 * time.Millisecond

// pods returns the pods to run, sorted, as copies.
func (s *Source) pods() []*corev1.Pod {
	all := []*corev1.Pod{}
	for _, pod := range s.list() {
		if IsMirror(pod) {
			continue
		}
		pod = pod.DeepCopy()
		metav1.SetMetaDataAnnotation(&pod.ObjectMeta, podsource.Annotation, s.Name())
		all = append(all, pod)
	}
	return all
}

func (s *Source) list() []*corev1.Pod {
	var all []*corev1.Pod
	for _, object := range s.informer.GetStore().List() {
		if pod, ok := object.(*corev1.Pod); ok {
			all = append(all, pod)
		}
	}
	slices.SortFunc(all, func(a, b *corev1.Pod) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	return all
}

// Get returns the newest that is known of a pod, or nil. It belongs to the
// source: the caller must not change it.
func (s *Source) Get(namespace, name string) *corev1.Pod {
	object, _, err := s.informer.GetStore().GetByKey(namespace + "/" + name)
	pod, ok := object.(*corev1.Pod)
	if err != nil || !ok {
		return nil
	}
	return pod
}

// Mirrors returns the mirror pods of this node; ok is false before the first list
// has succeeded. They belong to the source.
func (s *Source) Mirrors() (pods []*corev1.Pod, ok bool) {
	if !s.informer.HasSynced() {
		return nil, false
	}
	return slices.DeleteFunc(s.list(), func(pod *corev1.Pod) bool { return !IsMirror(pod) }), true
}

// IsMirror reports whether the pod only shows a static pod of its node.
func IsMirror(pod *corev1.Pod) bool {
	_, ok := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return ok
}
