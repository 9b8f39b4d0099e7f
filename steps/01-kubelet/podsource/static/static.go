// Package static is a pod source that a program sets by hand, for tests and for
// programs that know their pods beforehand.
package static

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
)

// A Source reports the pods that it was given last.
type Source struct {
	mu   sync.Mutex // guards the fields below
	pods []*corev1.Pod
	set  chan struct{} // has a token when pods is newer than what was reported
}

var _ podsource.Source = (*Source)(nil)

// New returns a source of these pods.
func New(pods ...*corev1.Pod) *Source {
	s := &Source{set: make(chan struct{}, 1)}
	s.Set(pods...)
	return s
}

// Set replaces the pods. The source keeps its own copies.
func (s *Source) Set(pods ...*corev1.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pods = copies(pods)
	select {
	case s.set <- struct{}{}:
	default: // the newest set is on its way already
	}
}

// Name implements [podsource.Source].
func (s *Source) Name() string { return "static" }

// Run implements [podsource.Source].
func (s *Source) Run(ctx context.Context, update func([]*corev1.Pod)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.set:
			s.mu.Lock()
			pods := copies(s.pods)
			s.mu.Unlock()
			update(pods)
		}
	}
}

func copies(pods []*corev1.Pod) []*corev1.Pod {
	out := make([]*corev1.Pod, len(pods))
	for i, p := range pods {
		out[i] = p.DeepCopy()
	}
	return out
}
