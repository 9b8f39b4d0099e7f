package apisource

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource/podsourcetest"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/server/servertest"
)

func newSource(t *testing.T, client *fake.Clientset) *Source {
	t.Helper()
	return New(client, "node-1", slog.New(slog.DiscardHandler))
}

// TestConformance asks a real server. A fake clientset loses what changes between
// a list and the watch that follows it, for it knows no resource versions.
func TestConformance(t *testing.T) {
	podsourcetest.Run(t, func(t *testing.T) podsourcetest.Origin {
		_, config := servertest.Start(t, servertest.Config())
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		api := client.CoreV1().Pods("default")
		return podsourcetest.Origin{Source: New(client, "node-1", slog.New(slog.DiscardHandler)), Set: func(t *testing.T, pods ...*corev1.Pod) {
			wanted := map[string]bool{}
			for _, p := range pods {
				p.Spec.NodeName = "node-1"
				wanted[p.Name] = true
				if _, err := api.Create(t.Context(), p, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
					t.Fatal(err)
				}
			}
			list, err := api.List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range list.Items {
				if wanted[p.Name] {
					continue
				}
				if err := api.Delete(t.Context(), p.Name, *metav1.NewDeleteOptions(0)); err != nil {
					t.Fatal(err)
				}
			}
		}}
	})
}

func pod(name string, annotations map[string]string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(name), Annotations: annotations}}
}

// collect runs the source and returns what it reports.
func collect(t *testing.T, s *Source) <-chan []*corev1.Pod {
	updates, done := make(chan []*corev1.Pod, 100), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(done)
		if err := s.Run(ctx, func(pods []*corev1.Pod) { updates <- pods }); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return updates
}

func next(t *testing.T, updates <-chan []*corev1.Pod) []*corev1.Pod {
	t.Helper()
	select {
	case pods := <-updates:
		return pods
	case <-time.After(30 * time.Second):
		t.Fatal("no update")
		return nil
	}
}

func TestMirrorPodsAreNotForRunning(t *testing.T) {
	s := newSource(t, fake.NewClientset(
		pod("web", map[string]string{podsource.Annotation: "file"}),
		pod("etcd-node-1", map[string]string{corev1.MirrorPodAnnotationKey: "hash"})))
	if _, ok := s.Mirrors(); ok {
		t.Error("mirror pods are known before the first list")
	}
	pods := next(t, collect(t, s))
	if len(pods) != 1 || pods[0].Name != "web" {
		t.Errorf("got %v, want web alone", pods)
	}
	if podsource.IsStatic(pods[0]) {
		t.Error("a pod of the API passes for a static one: its author only had to set an annotation")
	}
	if mirrors, ok := s.Mirrors(); !ok || len(mirrors) != 1 || mirrors[0].Name != "etcd-node-1" {
		t.Errorf("got mirrors %v, %t", mirrors, ok)
	}
	if s.Get("default", "web") == nil || s.Get("default", "none") != nil {
		t.Error("Get does not find the pods there are, or others")
	}
}

func TestNothingIsSaidBeforeTheFirstListSucceeds(t *testing.T) {
	client := fake.NewClientset(pod("web", nil))
	var away atomic.Bool
	away.Store(true)
	refused := make(chan struct{}, 100)
	refuse := func(kubetesting.Action) (bool, runtime.Object, error) {
		if !away.Load() {
			return false, nil, nil
		}
		refused <- struct{}{}
		return true, nil, errors.New("connection refused")
	}
	client.PrependReactor("list", "pods", refuse)
	updates := collect(t, newSource(t, client))
	for range 2 {
		<-refused
	}
	select {
	case pods := <-updates:
		t.Fatalf("got %d pods while the API server was away; the kubelet would stop all others", len(pods))
	default:
	}
	away.Store(false)
	if pods := next(t, updates); len(pods) != 1 {
		t.Errorf("got %d pods, want 1", len(pods))
	}
}
