package apistatus

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
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
)

// A bench is a sink that runs, and the API server that it talks to.
type bench struct {
	*Sink
	t      *testing.T
	client *fake.Clientset
}

func newBench(t *testing.T, pods ...runtime.Object) *bench {
	b := &bench{t: t, client: fake.NewClientset(pods...)}
	b.Sink = New(Config{Pods: b.client.CoreV1(), Known: b.get, Every: 50 * time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	return b
}

func (b *bench) run() *bench {
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	})
	return b
}

func (b *bench) get(namespace, name string) *corev1.Pod {
	pod, err := b.client.CoreV1().Pods(namespace).Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		return nil
	}
	return pod
}

func (b *bench) until(what string, ok func(pod *corev1.Pod) bool) {
	b.t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(b.get("default", "web")); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("waited in vain for %s; the pod is %+v", what, b.get("default", "web"))
		}
	}
}

func (b *bench) phase(want corev1.PodPhase) {
	b.t.Helper()
	b.until("phase "+string(want), func(pod *corev1.Pod) bool { return pod != nil && pod.Status.Phase == want })
}

func web(uid string) *corev1.Pod {
	pod := &corev1.Pod{}
	pod.Name, pod.Namespace, pod.UID = "web", "default", types.UID("uid-"+uid)
	return pod
}

func TestTheNewestStatusWins(t *testing.T) {
	pod := web("1")
	b := newBench(t, pod)
	b.Set(pod, status(corev1.PodPending))
	b.Set(pod, status(corev1.PodRunning))
	b.run().phase(corev1.PodRunning)
	patches := 0
	for _, a := range b.client.Actions() {
		if a.Matches("patch", "pods/status") {
			patches++
		}
	}
	if patches != 1 {
		t.Errorf("got %d patches, want 1: what is outdated need not be sent", patches)
	}
}

func TestAnOutageEndsWithTheTruth(t *testing.T) {
	pod := web("1")
	b := newBench(t, pod)
	var away atomic.Bool
	away.Store(true)
	tried := make(chan struct{}, 1000)
	b.client.PrependReactor("patch", "pods", func(kubetesting.Action) (bool, runtime.Object, error) {
		tried <- struct{}{}
		return away.Load(), nil, errors.New("connection refused")
	})
	b.run()
	b.Set(pod, status(corev1.PodRunning))
	for range 3 {
		<-tried
	}
	b.Set(pod, status(corev1.PodFailed))
	away.Store(false)
	b.phase(corev1.PodFailed)
}

func TestAnotherPodOfThatNameIsLeftAlone(t *testing.T) {
	b := newBench(t, web("2")).run()
	b.Set(web("1"), status(corev1.PodFailed))
	second := web("2")
	b.Set(second, status(corev1.PodRunning))
	b.phase(corev1.PodRunning)
	b.untilForgotten(web("1"))
}

func (b *bench) untilForgotten(pod *corev1.Pod) {
	b.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; <-time.After(time.Millisecond) {
		b.mu.Lock()
		_, known := b.pods[pod.UID]
		b.mu.Unlock()
		if !known {
			return
		}
		if time.Now().After(end) {
			b.t.Fatal("the sink keeps what nobody wants to know")
		}
	}
}

func TestAPodIsDeletedWhenNothingIsLeft(t *testing.T) {
	pod := web("1")
	pod.DeletionTimestamp, pod.Finalizers = &metav1.Time{Time: time.Now()}, []string{"test"} // the fake keeps such a pod only with one
	b := newBench(t, pod).run()
	b.Set(pod, status(corev1.PodRunning))
	b.phase(corev1.PodRunning)
	b.Set(pod, status(corev1.PodSucceeded))
	b.Released(pod)
	b.untilForgotten(pod)
	for _, a := range b.client.Actions() {
		if d, ok := a.(kubetesting.DeleteAction); ok {
			o := d.GetDeleteOptions()
			if *o.GracePeriodSeconds != 0 || *o.Preconditions.UID != pod.UID {
				t.Errorf("got delete options %+v", o)
			}
			return
		}
	}
	t.Error("the pod was not deleted")
}

func TestAPodThatEndedStaysUntilItIsMarked(t *testing.T) {
	pod := web("1")
	b := newBench(t, pod).run()
	b.Set(pod, status(corev1.PodSucceeded))
	b.Released(pod)
	b.phase(corev1.PodSucceeded)
	marked := b.get("default", "web").DeepCopy()
	marked.DeletionTimestamp, marked.Finalizers = &metav1.Time{Time: time.Now()}, []string{"test"}
	if err := b.client.Tracker().Update(corev1.SchemeGroupVersion.WithResource("pods"), marked, "default"); err != nil {
		t.Fatal(err)
	}
	b.untilForgotten(pod) // the review finds it
}

func TestWhatSomebodyOverwritesIsPutRight(t *testing.T) {
	pod := web("1")
	b := newBench(t, pod).run()
	b.Set(pod, status(corev1.PodRunning))
	b.phase(corev1.PodRunning)
	wrong := b.get("default", "web").DeepCopy()
	wrong.Status.Phase = corev1.PodPending
	if _, err := b.client.CoreV1().Pods("default").UpdateStatus(t.Context(), wrong, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	b.phase(corev1.PodRunning)
}

// A manifest was moved away and back: the same static pod has a second life, in which
// somebody deletes its mirror.
func TestAStaticPodThatBeganAnewIsNotForgotten(t *testing.T) {
	static := web("hash")
	static.Annotations = map[string]string{podsource.Annotation: "file"}
	b := newBench(t)
	b.Set(static, status(corev1.PodSucceeded))
	b.Released(static)
	b.Set(static, status(corev1.PodRunning))
	if err := b.send(t.Context(), static.UID); err != nil { // there is no mirror
		t.Fatal(err)
	}
	mirror := web("3")
	mirror.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: string(static.UID)}
	if _, err := b.client.CoreV1().Pods("default").Create(t.Context(), mirror, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	b.Again(static.UID)
	b.run().phase(corev1.PodRunning)
}

func TestAStaticPodsStatusIsWrittenToItsMirror(t *testing.T) {
	static := web("hash")
	static.Annotations = map[string]string{podsource.Annotation: "file"}
	b := newBench(t).run()
	b.Set(static, status(corev1.PodRunning))
	mirror := web("3")
	mirror.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: string(static.UID)}
	if _, err := b.client.CoreV1().Pods("default").Create(t.Context(), mirror, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	b.Again(static.UID)
	b.phase(corev1.PodRunning)
}

func TestADeletionThatSomebodyElseDidIsDone(t *testing.T) {
	pod := web("1")
	for _, answer := range []error{
		apierrors.NewNotFound(corev1.Resource("pods"), "web"),
		apierrors.NewConflict(corev1.Resource("pods"), "web", errors.New("another UID")),
	} {
		client := fake.NewClientset(pod)
		client.PrependReactor("delete", "pods", func(kubetesting.Action) (bool, runtime.Object, error) { return true, nil, answer })
		if err := remove(t.Context(), client.CoreV1().Pods("default"), pod); err != nil {
			t.Errorf("%v: got %v, want nil", answer, err)
		}
	}
}

// The node authorizer forbids a node to ask for a pod that does not exist: it is
// bound to no node.
func TestAPodThatMayNotBeAskedForIsForgotten(t *testing.T) {
	pod := web("1")
	b := newBench(t)
	b.client.PrependReactor("get", "pods", func(kubetesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(corev1.Resource("pods"), pod.Name, errors.New("no relationship found"))
	})
	b.Set(pod, status(corev1.PodRunning))
	b.run()
	b.until("the pod to be forgotten", func(*corev1.Pod) bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.pods) == 0
	})
}
