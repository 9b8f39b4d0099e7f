// Package podsourcetest checks that an implementation of [podsource.Source]
// keeps the promises that the kubelet relies on.
package podsourcetest

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
)

// An Origin is a source and the place behind it, which a test changes.
type Origin struct {
	Source podsource.Source

	// Set makes these the pods that the origin wants: it writes files, calls an
	// API. Pods have a name and one container, with an image.
	Set func(t *testing.T, pods ...*corev1.Pod)
}

// patience is how long an update may take; none should come near it.
const patience = 10 * time.Second

// Run checks the source that open makes, anew for each check. Its origin has no
// pods at first.
func Run(t *testing.T, open func(t *testing.T) Origin) {
	t.Run("the empty set is news at first", func(t *testing.T) {
		r := start(t, open(t))
		if got := r.next("no first update; the kubelet would never stop stale pods"); len(got) != 0 {
			t.Errorf("got %d pods of an origin without any", len(got))
		}
	})
	t.Run("every update is complete", func(t *testing.T) {
		o := open(t)
		r := start(t, o)
		o.Set(t, pod("a"))
		r.until("pod a to appear", "a")
		o.Set(t, pod("a"), pod("b"))
		r.until("pod b to appear beside a; an update must carry all pods, not the new ones", "a", "b")
	})
	t.Run("a pod that is gone is missing", func(t *testing.T) {
		o := open(t)
		o.Set(t, pod("a"), pod("b"))
		r := start(t, o)
		r.until("both pods", "a", "b")
		o.Set(t, pod("b"))
		r.until("pod a to be missing; that is how the kubelet is told to stop it", "b")
		o.Set(t)
		r.until("the empty set, when the last pod is gone")
	})
	t.Run("pods are complete", func(t *testing.T) {
		o := open(t)
		o.Set(t, pod("a"))
		r := start(t, o)
		got := r.until("pod a", "a")[0]
		for what, value := range map[string]string{"UID": string(got.UID), "namespace": got.Namespace, "name": got.Name,
			"restart policy": string(got.Spec.RestartPolicy), "pull policy": string(got.Spec.Containers[0].ImagePullPolicy)} {
			if value == "" {
				t.Errorf("the pod has no %s; a source sets defaults, the kubelet does not", what)
			}
		}
	})
	t.Run("the callee owns the pods", func(t *testing.T) {
		o := open(t)
		o.Set(t, pod("a"))
		r := start(t, o)
		r.until("pod a", "a")[0].Spec.Containers[0].Image = "changed"
		o.Set(t, pod("a"), pod("b"))
		for _, p := range r.until("both pods", "a", "b") {
			if p.Spec.Containers[0].Image == "changed" {
				t.Error("a change that the callee made to its pod came back in the next update")
			}
		}
	})
	t.Run("Run ends with its context", func(t *testing.T) {
		r := start(t, open(t))
		r.stop()
		select {
		case err := <-r.done:
			if err != nil {
				t.Errorf("got %v, want nil: the source has not failed, it was told to end", err)
			}
		case <-time.After(patience):
			t.Error("Run goes on after its context is done")
		}
	})
}

func pod(name string) *corev1.Pod {
	p := &corev1.Pod{}
	p.APIVersion, p.Kind, p.Name = "v1", "Pod", name
	p.Spec.Containers = []corev1.Container{{Name: "main", Image: "web:v1"}}
	return p
}

// A run is a source that runs, and what it has reported.
type run struct {
	t       *testing.T
	updates chan []*corev1.Pod
	done    chan error
	stop    func()
}

func start(t *testing.T, o Origin) *run {
	ctx, cancel := context.WithCancel(t.Context())
	r := &run{t: t, updates: make(chan []*corev1.Pod, 100), done: make(chan error, 1), stop: cancel}
	go func() { r.done <- o.Source.Run(ctx, func(pods []*corev1.Pod) { r.updates <- pods }) }()
	t.Cleanup(cancel)
	return r
}

func (r *run) next(why string) []*corev1.Pod {
	r.t.Helper()
	select {
	case pods := <-r.updates:
		return pods
	case err := <-r.done:
		r.t.Fatalf("Run ended early: %v", err)
	case <-time.After(patience):
		r.t.Fatal(why)
	}
	return nil
}

// until waits for an update with exactly the pods of these names. A source may
// complete the names, as static pods' are with that of the node.
func (r *run) until(what string, names ...string) []*corev1.Pod {
	r.t.Helper()
	for {
		pods := r.next("waited in vain for " + what)
		if len(pods) != len(names) {
			continue
		}
		found := 0
		for _, name := range names {
			for _, p := range pods {
				if p.Name == name || len(p.Name) > len(name) && p.Name[:len(name)+1] == name+"-" {
					found++
				}
			}
		}
		if found == len(names) {
			return pods
		}
	}
}
