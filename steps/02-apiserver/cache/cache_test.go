package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"
	"weak"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage/memory"
)

const prefix = "/registry/configmaps/"

func decode(r storage.Record) (resource.Object, error) {
	cm := &corev1.ConfigMap{}
	return cm, json.Unmarshal(r.Value, cm)
}

// run starts a cache that ends with the test.
func run(t *testing.T, store storage.Store) *Cache {
	t.Helper()
	c := New(Config{Store: store, Prefix: prefix, Decode: decode, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	fresh(t, c)
	return c
}

func fresh(t *testing.T, c *Cache) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := c.Fresh(ctx); err != nil {
		t.Fatalf("the cache is not up to date: %v", err)
	}
}

func put(t *testing.T, s storage.Store, name, value string, expected int64) int64 {
	t.Helper()
	data, err := json.Marshal(&corev1.ConfigMap{Data: map[string]string{"v": value}})
	if err != nil {
		t.Fatal(err)
	}
	revision, err := s.Put(t.Context(), prefix+name, data, expected)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func TestAFreshCacheShowsEveryWrite(t *testing.T) {
	store := memory.New()
	c := run(t, store)
	for i := range 200 {
		name := fmt.Sprintf("ns/%d", i)
		put(t, store, name, "1", 0)
		if _, err := store.Put(t.Context(), fmt.Sprintf("/registry/other/%d", i), nil, 0); err != nil {
			t.Fatal(err) // of another resource: nothing but its revision reaches the cache
		}
		fresh(t, c)
		if c.Get(prefix+name) == nil {
			t.Fatalf("%s was written and is not in the fresh cache", name)
		}
	}
}

func TestASnapshotDoesNotChange(t *testing.T) {
	store := memory.New()
	c := run(t, store)
	a := put(t, store, "ns/a", "1", 0)
	put(t, store, "ns2/b", "1", 0)
	fresh(t, c)
	s := c.Snapshot()
	put(t, store, "ns/a", "2", a)
	put(t, store, "ns/c", "1", 0)
	fresh(t, c)
	var got []string
	s.Ascend(prefix+"ns/", func(i *Item) bool {
		got = append(got, i.Key+"@"+i.Object.GetResourceVersion())
		return true
	})
	if want := fmt.Sprintf("[%sns/a@%d]", prefix, a); fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// collect reads n events as text.
func collect(t *testing.T, w *Watcher, n int) (got []string) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		events, revision, more, err := w.Next()
		if err != nil {
			t.Fatalf("after %v: %v", got, err)
		}
		for _, e := range events {
			if e.Revision > revision {
				t.Fatalf("an event of revision %d came with a revision of %d", e.Revision, revision)
			}
			got = append(got, describe(e))
		}
		if len(got) >= n {
			return got
		}
		select {
		case <-more:
		case <-timeout:
			t.Fatalf("got %d events, want %d", len(got), n)
		}
	}
}

func describe(e *Event) string {
	switch {
	case e.Old == nil:
		return "added " + e.Item.Object.GetResourceVersion()
	case e.Item == nil:
		return "deleted " + e.Gone().Object.GetResourceVersion()
	}
	return "modified " + e.Old.Object.GetResourceVersion() + " " + e.Item.Object.GetResourceVersion()
}

func TestAWatcherSeesEveryEventOnce(t *testing.T) {
	store := memory.New()
	c := run(t, store)
	start := c.Revision()
	first := c.Watch(start)
	a := put(t, store, "ns/a", "1", 0)
	a2 := put(t, store, "ns/a", "2", a)
	gone, err := store.Delete(t.Context(), prefix+"ns/a", a2)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprint([]string{fmt.Sprintf("added %d", a), fmt.Sprintf("modified %d %d", a, a2), fmt.Sprintf("deleted %d", gone)})
	if got := collect(t, first, 3); fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if got := collect(t, c.Watch(a), 2); got[0] != fmt.Sprintf("modified %d %d", a, a2) {
		t.Errorf("after the first: got %v", got)
	}
}

func TestManyWatchersUnderLoad(t *testing.T) {
	store := memory.New()
	c := run(t, store)
	start := c.Revision()
	const watchers, writes = 50, 300
	results := make([][]string, watchers)
	var wait sync.WaitGroup
	for i := range watchers {
		wait.Go(func() { results[i] = collect(t, c.Watch(start), writes) })
	}
	last := int64(0)
	for i := range writes {
		if i%3 == 2 {
			var err error
			if _, err = store.Delete(t.Context(), prefix+"ns/a", last); err != nil {
				t.Fatal(err)
			}
			last = 0
		} else {
			last = put(t, store, "ns/a", fmt.Sprint(i), last)
		}
	}
	wait.Wait()
	for i, got := range results {
		if fmt.Sprint(got) != fmt.Sprint(results[0]) {
			t.Errorf("watcher %d has seen other events than watcher 0", i)
		}
	}
}

func TestWhoIsTooFarBehindIsCutOff(t *testing.T) {
	now := time.Unix(0, 0)
	var h history
	h.begin = 10
	for i := int64(11); i <= 10+2*keepMin; i++ {
		h.append(&Event{Revision: i, Time: now})
	}
	h.trim(now)
	if _, err := h.since(10); err != nil {
		t.Errorf("young events were dropped: %v", err)
	}
	h.trim(now.Add(keepFor + time.Second))
	if _, err := h.since(10); !errors.Is(err, ErrExpired) {
		t.Errorf("old events: got %v, want ErrExpired", err)
	}
	if got, err := h.since(10 + keepMin); err != nil || len(got) != keepMin {
		t.Errorf("since the cut: got %d events (%v), want %d", len(got), err, keepMin)
	}
	for i := int64(0); i < keepMost+5; i++ {
		h.append(&Event{Revision: 1000 + i, Time: now})
	}
	h.trim(now)
	if len(h.events) != keepMost {
		t.Errorf("got %d events, want no more than %d", len(h.events), keepMost)
	}
}

// A few writes a second of objects that are as large as they may be would fill the memory in a
// minute, if the log only counted events.
func TestTheLogOfLargeObjectsIsShorter(t *testing.T) {
	now := time.Unix(0, 0)
	var h history
	for i := range int64(10 * keepMin) {
		h.append(&Event{Revision: i, Time: now, Size: 1 << 20})
		h.trim(now)
	}
	if len(h.events) != keepBytes>>20 {
		t.Errorf("got %d events of 1 MiB in the log, want %d", len(h.events), keepBytes>>20)
	}
	for i := range int64(2 * keepMin) {
		h.append(&Event{Revision: 10*keepMin + i, Time: now, Size: 2 * keepBytes})
		h.trim(now)
	}
	if len(h.events) != keepMin {
		t.Errorf("got %d events that are too large, want %d nevertheless", len(h.events), keepMin)
	}
	h.append(&Event{Revision: 12 * keepMin, Time: now})
	h.trim(now.Add(keepFor + time.Second))
	for i := range int64(keepMin) {
		h.append(&Event{Revision: 12*keepMin + 1 + i, Time: now})
	}
	h.trim(now)
	if h.trim(now.Add(keepFor + time.Second)); h.bytes != 0 {
		t.Errorf("the log is said to hold %d bytes, want those of none", h.bytes)
	}
}

// What was dropped takes no memory, also if nothing more comes: after a rush, that is all
// objects as they were before each of its writes.
func TestDroppedEventsAreFreed(t *testing.T) {
	now := time.Unix(0, 0)
	var h history
	dropped := make([]weak.Pointer[Event], 10*keepMin)
	for i := range dropped {
		e := &Event{Revision: int64(i), Time: now}
		dropped[i] = weak.Make(e)
		h.append(e)
	}
	for range keepMin {
		h.append(&Event{Revision: int64(len(dropped)), Time: now})
	}
	h.trim(now.Add(keepFor + time.Second))
	runtime.GC()
	kept := 0
	for _, e := range dropped {
		if e.Value() != nil {
			kept++
		}
	}
	if kept > 0 || len(h.events) != keepMin {
		t.Errorf("%d of %d dropped events are still in memory, %d in the log", kept, len(dropped), len(h.events))
	}
}

// A broken store ends its first watch, and forgets.
type broken struct {
	*memory.Store
	once sync.Once
	fail chan error
}

func (b *broken) Watch(ctx context.Context, p string, after int64, ask <-chan struct{}, deliver func(storage.Batch) error) error {
	first := false
	b.once.Do(func() { first = true })
	if first {
		return <-b.fail
	}
	return b.Store.Watch(ctx, p, after, ask, deliver)
}

func TestAStoreThatFailsLeavesNoGap(t *testing.T) {
	for _, c := range []struct {
		name string
		fail error
		want error
	}{
		{"the watch goes on where it was", errors.New("connection lost"), nil},
		{"what has been forgotten makes watchers list again", storage.ErrCompacted, ErrExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := &broken{Store: memory.New(), fail: make(chan error)}
			cache := New(Config{Store: store, Prefix: prefix, Decode: decode, Log: slog.New(slog.DiscardHandler)})
			ctx, cancel := context.WithCancel(t.Context())
			var wait sync.WaitGroup
			wait.Go(func() { cache.Run(ctx) })
			defer wait.Wait()
			defer cancel()
			if err := cache.Wait(ctx, 1); err != nil {
				t.Fatal(err)
			}
			w := cache.Watch(cache.Revision())
			a := put(t, store, "ns/a", "1", 0)
			put(t, store, "ns/a", "2", a)
			store.fail <- c.fail
			fresh(t, cache)
			events, _, _, err := w.Next()
			if !errors.Is(err, c.want) || c.want == nil && len(events) != 2 {
				t.Errorf("got %d events and %v, want %v", len(events), err, c.want)
			}
			if cache.Get(prefix+"ns/a") == nil {
				t.Error("the object is not in the cache")
			}
		})
	}
}
