package queue

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/utils/clock"
)

func TestPopWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewShared(newQueue().Config, clock.RealClock{})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { s.Run(ctx) })
		popped := make(chan *Item)
		running.Go(func() {
			defer close(popped)
			for item := s.Pop(); item != nil; item = s.Pop() {
				popped <- item
			}
		})

		s.Add(pod("a"))
		start, item := time.Now(), <-popped
		s.Fail(item)
		<-popped // when it has backed off
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("backed off for %v, want 1s", waited)
		}
		s.Reject(item, []string{"nodes"})
		start = time.Now()
		<-popped
		if waited := time.Since(start); waited != 5*time.Minute {
			t.Errorf("was looked at again after %v, want 5m", waited)
		}
		cancel()
		if item, more := <-popped; more {
			t.Errorf("popped %s after the end", item.Pod.Name)
		}
		running.Wait()
	})
}

func TestManyGoroutines(t *testing.T) {
	s := NewShared(newQueue().Config, clock.RealClock{})
	ctx, cancel := context.WithCancel(t.Context())
	var running, adding sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	const pods = 1000
	for i := range 4 {
		adding.Go(func() {
			for n := i; n < pods; n += 4 {
				s.Add(pod(fmt.Sprint(n)))
				s.Happened(nodeAdded)
			}
		})
	}
	for range pods {
		item := s.Pop()
		adding.Go(func() { s.Decided(item); s.Done(item) })
	}
	adding.Wait()
	if got := s.Count(); got != (Count{}) {
		t.Errorf("got %+v, want nobody", got)
	}
	cancel()
	running.Wait()
}
