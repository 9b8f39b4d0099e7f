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
	"log/slog"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/replica"
)

// A Source reports one node's pods. Make it with [New].
type Source struct {
	replica *replica.Replica
	log     *slog.Logger
	dirty   chan struct{} // has a token when the copy is newer than what was reported
	changed []func()
}

var _ podsource.Source = (*Source)(nil)

// New returns the source of the node's pods. Changed are called after every
// change, also of mirror pods, and must not block.
func New(client kubernetes.Interface, nodeName string, log *slog.Logger, changed ...func()) *Source {
	mine := fields.OneTermEqualSelector("spec.nodeName", nodeName).String()
	pods := client.CoreV1().Pods(metav1.NamespaceAll)
	s := &Source{log: log, dirty: make(chan struct{}, 1), changed: changed}
	s.replica = replica.New(client, replica.Select(mine, pods.List, pods.Watch), &corev1.Pod{}, forgetManagers, s.poke)
	return s
}

// forgetManagers drops what is a third of a pod and of no use here.
func forgetManagers(object runtime.Object) {
	if pod, ok := object.(*corev1.Pod); ok {
		pod.ManagedFields = nil
	}
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
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.replica.Run(ctx)
	}()
	defer func() { <-done }()
	select {
	case <-ctx.Done():
		return nil
	case <-s.replica.Synced():
	}
	s.log.Info("the API server has told which pods are to run here", "pods", len(s.replica.List()))
	for s.poke(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-s.dirty:
			update(s.pods())
		}
	}
}

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
	for _, object := range s.replica.List() {
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
	pod, _ := s.replica.Get(namespace + "/" + name).(*corev1.Pod)
	return pod
}

// Mirrors returns the mirror pods of this node; ok is false before the first list
// has succeeded. They belong to the source.
func (s *Source) Mirrors() (pods []*corev1.Pod, ok bool) {
	if !s.replica.HasSynced() {
		return nil, false
	}
	return slices.DeleteFunc(s.list(), func(pod *corev1.Pod) bool { return !IsMirror(pod) }), true
}

// IsMirror reports whether the pod only shows a static pod of its node.
func IsMirror(pod *corev1.Pod) bool {
	_, ok := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return ok
}
