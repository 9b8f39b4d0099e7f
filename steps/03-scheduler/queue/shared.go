package queue

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
)

// Shared is a queue that goroutines share: the handlers of what happens put pods
// in, the scheduler takes them out, and those who bind bring some back. Its methods
// are those of [Queue] at the time of its clock. Make it with [NewShared].
type Shared struct {
	clock clock.WithTicker
	wake  chan struct{} // something may be due earlier than Run knows

	mu     sync.Mutex // guards the fields below
	queue  *Queue
	filled sync.Cond // there may be something to pop, or the end has come
	next   time.Time // when Run looks again
	ended  bool
}

// NewShared returns an empty queue.
func NewShared(c Config, clock clock.WithTicker) *Shared {
	s := &Shared{clock: clock, queue: New(c), wake: make(chan struct{}, 1)}
	s.filled.L = &s.mu
	return s
}

// do runs f on the queue alone, and then tells those who wait.
func (s *Shared) do(f func(q *Queue, now time.Time)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.queue, s.clock.Now())
	s.filled.Signal()
	if due, ok := s.queue.Due(); ok && due.Before(s.next) {
		s.next = due
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// Run moves pods when their time has come, until ctx is done. Then Pop returns nil.
func (s *Shared) Run(ctx context.Context) {
	defer s.end()
	for {
		timer := s.clock.NewTimer(s.advance())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-s.wake:
			timer.Stop()
		case <-timer.C():
		}
	}
}

// advance returns how long nothing will be due.
func (s *Shared) advance() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	s.next = s.queue.Advance(now)
	s.filled.Signal()
	return s.next.Sub(now)
}

func (s *Shared) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.filled.Broadcast()
}

// Pop waits for a pod to decide about. It returns nil when Run has ended.
func (s *Shared) Pop() *Item {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.ended {
		if item := s.queue.Pop(); item != nil {
			return item
		}
		s.filled.Wait()
	}
	return nil
}

func (s *Shared) Add(pod *framework.Pod) {
	s.do(func(q *Queue, now time.Time) { q.Add(pod, now) })
}

func (s *Shared) Update(pod *framework.Pod) {
	s.do(func(q *Queue, now time.Time) { q.Update(pod, now) })
}

func (s *Shared) Delete(uid types.UID) {
	s.do(func(q *Queue, _ time.Time) { q.Delete(uid) })
}

func (s *Shared) Happened(e framework.Event) {
	s.do(func(q *Queue, now time.Time) { q.Happened(e, now) })
}

func (s *Shared) Reject(item *Item, by []string) (waits bool) {
	s.do(func(q *Queue, now time.Time) { waits = q.Reject(item, by, now) })
	return waits
}

func (s *Shared) Fail(item *Item) (waits bool) {
	s.do(func(q *Queue, now time.Time) { waits = q.Fail(item, now) })
	return waits
}

func (s *Shared) Decided(item *Item) {
	s.do(func(q *Queue, _ time.Time) { q.Decided(item) })
}

func (s *Shared) Done(item *Item) {
	s.do(func(q *Queue, _ time.Time) { q.Done(item) })
}

func (s *Shared) Count() (c Count) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.Count()
}

func (s *Shared) Entered() map[Entry]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.Entered()
}

func (s *Shared) Rejections() map[Rejection]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.Rejections()
}
