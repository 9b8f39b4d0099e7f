// Package mirror shows the node's static pods to the API server.
//
// A static pod has no object of its own: its manifest is a file of the node. So
// that kubectl can list it, its kubelet makes a mirror pod, a copy with an
// annotation that tells which manifest it stands for. The mirror follows the file
// and never the other way round: one that somebody deletes comes back, and one
// that somebody else made for a pod that the node does not have is removed.
//
// What there should be and what there is are compared as a whole, by [Decide], at
// every change of either.
//
// Upstream: pkg/kubelet/pod/mirror_client.go, and tryReconcileMirrorPods in kubelet.go.
package mirror

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
)

// A Config describes a Mirror.
type Config struct {
	Pods     typedcorev1.PodsGetter
	NodeName string

	// NodeUID returns the UID of the Node object, which owns the mirrors, or ""
	// before it is registered.
	NodeUID func() types.UID

	// Mirrors returns the mirror pods that the API server has for this node; ok is
	// false when it has not said yet.
	Mirrors func() (pods []*corev1.Pod, ok bool)

	// Made is told of each static pod whose mirror is new.
	Made func(static types.UID)

	Every time.Duration // between two tries that nothing has asked for; 0 means 1 s
	Log   *slog.Logger
}

// A Mirror keeps the mirror pods of one node. Make it with [New].
type Mirror struct {
	conf  Config
	dirty chan struct{}

	mu     sync.Mutex // guards the fields below
	static map[string][]*corev1.Pod
	wanted int // sources that have to speak first
}

// New returns a Mirror of the sources that it is asked to [Mirror.Watch].
func New(conf Config) *Mirror {
	if conf.Every == 0 {
		conf.Every = time.Second
	}
	return &Mirror{conf: conf, dirty: make(chan struct{}, 1), static: map[string][]*corev1.Pod{}}
}

// Watch returns a source that reports what inner does, and whose pods have mirrors.
func (m *Mirror) Watch(inner podsource.Source) podsource.Source {
	m.wanted++
	return podsource.Tee(inner, func(pods []*corev1.Pod) { m.set(inner.Name(), pods) })
}

func (m *Mirror) set(source string, pods []*corev1.Pod) {
	copies := make([]*corev1.Pod, len(pods))
	for i, pod := range pods {
		copies[i] = pod.DeepCopy() // the callee of update owns them
	}
	m.mu.Lock()
	m.static[source] = copies
	m.mu.Unlock()
	m.Poke()
}

// Poke has the mirrors looked at again. It does not block.
func (m *Mirror) Poke() {
	select {
	case m.dirty <- struct{}{}:
	default:
	}
}

// Run keeps the mirrors until ctx is done. They stay then: they show the pods,
// which stay too.
func (m *Mirror) Run(ctx context.Context) error {
	tick := time.NewTicker(m.conf.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.dirty:
		case <-tick.C:
		}
		if err := m.sync(ctx); err != nil && ctx.Err() == nil {
			m.conf.Log.Warn("mirror pods, will try again", "err", err)
		}
	}
}

func (m *Mirror) sync(ctx context.Context) error {
	m.mu.Lock()
	complete := len(m.static) == m.wanted
	var static []*corev1.Pod
	for _, pods := range m.static {
		static = append(static, pods...)
	}
	m.mu.Unlock()
	mirrors, ok := m.conf.Mirrors()
	node := m.conf.NodeUID()
	if !complete || !ok || node == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	create, remove := Decide(static, mirrors, node)
	var errs []error
	for _, pod := range remove {
		errs = append(errs, m.remove(ctx, pod))
	}
	for _, pod := range create {
		errs = append(errs, m.create(ctx, pod, node))
	}
	return errors.Join(errs...)
}

func (m *Mirror) create(ctx context.Context, static *corev1.Pod, node types.UID) error {
	_, err := m.conf.Pods.Pods(static.Namespace).Create(ctx, Of(static, m.conf.NodeName, node), metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("make the mirror of %s/%s: %w", static.Namespace, static.Name, err)
	}
	m.conf.Made(static.UID)
	return nil
}

func (m *Mirror) remove(ctx context.Context, mirror *corev1.Pod) error {
	options := metav1.DeleteOptions{GracePeriodSeconds: new(int64), Preconditions: metav1.NewUIDPreconditions(string(mirror.UID))}
	err := m.conf.Pods.Pods(mirror.Namespace).Delete(ctx, mirror.Name, options)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("remove the mirror %s/%s: %w", mirror.Namespace, mirror.Name, err)
	}
	return nil
}

// Decide compares the static pods with their mirrors. A mirror that is not what it
// should be is removed first: what is missing then is made when its absence was
// seen, so that nothing is made twice.
func Decide(static, mirrors []*corev1.Pod, node types.UID) (create, remove []*corev1.Pod) {
	wanted := map[string]*corev1.Pod{}
	for _, pod := range static {
		wanted[key(pod)] = pod
	}
	taken := map[string]bool{}
	for _, mirror := range mirrors {
		taken[key(mirror)] = true
		if pod := wanted[key(mirror)]; pod == nil || !stands(mirror, pod, node) {
			remove = append(remove, mirror)
		}
	}
	for _, pod := range static {
		if !taken[key(pod)] {
			create = append(create, pod)
		}
	}
	return create, remove
}

func key(pod *corev1.Pod) string { return pod.Namespace + "/" + pod.Name }

// stands reports whether the mirror is that of this version of the pod, on this
// Node, and is to stay.
func stands(mirror, static *corev1.Pod, node types.UID) bool {
	owner := metav1.GetControllerOf(mirror)
	return mirror.DeletionTimestamp == nil && owner != nil && owner.UID == node &&
		mirror.Annotations[corev1.MirrorPodAnnotationKey] == string(static.UID)
}

// Of returns the mirror pod of a static pod, to be created. Its status is for the
// status sink to write.
func Of(static *corev1.Pod, nodeName string, node types.UID) *corev1.Pod {
	yes := true
	pod := &corev1.Pod{Spec: *static.Spec.DeepCopy()}
	pod.Name, pod.Namespace, pod.Labels = static.Name, static.Namespace, static.Labels
	pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: string(static.UID)}
	for name, value := range static.Annotations {
		pod.Annotations[name] = value
	}
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: nodeName, UID: node, Controller: &yes}}
	return pod
}
