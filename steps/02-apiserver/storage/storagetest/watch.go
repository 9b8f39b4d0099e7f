package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
)

// A follower runs a watch and keeps its batches.
type follower struct {
	batches  chan storage.Batch
	ended    chan error
	progress chan struct{}
}

func (s suite) follow(prefix string, after int64) *follower {
	ctx, cancel := context.WithCancel(s.ctx)
	f := &follower{batches: make(chan storage.Batch, 1000), ended: make(chan error, 1), progress: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.ended <- s.Watch(ctx, prefix, after, f.progress, func(b storage.Batch) error {
			f.batches <- b
			return nil
		})
	}()
	s.Cleanup(func() { cancel(); <-done })
	return f
}

// events returns the next n events as text.
func (f *follower) events(t *testing.T, n int) []string {
	t.Helper()
	var got []string
	timeout := time.After(patience)
	for len(got) < n {
		select {
		case b := <-f.batches:
			for _, e := range b.Events {
				if e.Deleted {
					got = append(got, fmt.Sprintf("%s gone@%d", e.Key, e.Revision))
				} else {
					got = append(got, text([]storage.Record{e.Record}))
				}
				if e.Revision > b.Revision {
					t.Errorf("batch of revision %d has an event of %d: a bookmark would be too old", b.Revision, e.Revision)
				}
			}
		case err := <-f.ended:
			t.Fatalf("the watch ended with %v after %v", err, got)
		case <-timeout:
			t.Fatalf("got %d events in %v, want %d: %v", len(got), patience, n, got)
		}
	}
	return got
}

func watch(t *testing.T, s suite) {
	a := s.put("/r/a", "1", 0)
	b := s.put("/r/b", "1", 0)
	other := s.put("/other", "1", 0)
	f := s.follow("/r/", a)
	a2 := s.put("/r/a", "2", a)
	gone := s.delete("/r/b", b)
	s.put("/other", "2", other)
	c := s.put("/r/c", "1", 0)
	want := []string{fmt.Sprintf("/r/b=1@%d", b), fmt.Sprintf("/r/a=2@%d", a2), fmt.Sprintf("/r/b gone@%d", gone), fmt.Sprintf("/r/c=1@%d", c)}
	if got := f.events(t, 4); !slices.Equal(got, want) {
		t.Errorf("after %d: got %v, want %v", a, got, want)
	}
	if got := s.follow("/r/", gone).events(t, 1); got[0] != want[3] {
		t.Errorf("after %d: got %v, want %v: an event came twice", gone, got, want[3:])
	}
}

func watchUnderLoad(t *testing.T, s suite) {
	start, err := s.Revision(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	f := s.follow("/r/", start)
	const writers, each = 8, 50
	var wait sync.WaitGroup
	for w := range writers {
		wait.Go(func() {
			var last int64
			for i := range each {
				revision, err := s.Put(s.ctx, fmt.Sprintf("/r/%d", w), []byte(fmt.Sprint(i)), last)
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				last = revision
			}
		})
	}
	wait.Wait()
	if t.Failed() {
		return
	}
	next := map[string]int{}
	for _, got := range f.events(t, writers*each) {
		key, rest, _ := strings.Cut(got, "=")
		if value, _, _ := strings.Cut(rest, "@"); value != fmt.Sprint(next[key]) {
			t.Fatalf("%s: got value %s, want %d: the watch has lost, repeated or moved an event", key, value, next[key])
		}
		next[key]++
	}
}

func progress(t *testing.T, s suite) {
	a := s.put("/r/a", "1", 0)
	f := s.follow("/r/", a)
	want := s.put("/other", "1", 0)
	deadline := time.After(patience)
	for {
		select {
		case f.progress <- struct{}{}: // an answer may get lost, so ask until it comes
		case b := <-f.batches:
			if len(b.Events) > 0 {
				t.Errorf("got %v, want no events", b.Events)
			}
			if b.Revision >= want {
				return
			}
		case <-deadline:
			t.Fatalf("no report of revision %d in %v: bookmarks of a resource that nobody writes to would grow old, and lists would wait for ever", want, patience)
		}
	}
}

func watchEnds(t *testing.T, s suite) {
	ctx, cancel := context.WithCancel(s.ctx)
	ended := make(chan error)
	go func() { ended <- s.Watch(ctx, "/r/", 1, nil, func(storage.Batch) error { return nil }) }()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("end of the context: got %v, want nil", err)
	}
	start := s.put("/r/a", "1", 0)
	s.put("/r/b", "1", 0)
	enough := errors.New("enough")
	if err := s.Watch(s.ctx, "/r/", start, nil, func(storage.Batch) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("error of the reader: got %v, want %v", err, enough)
	}
}

func compaction(t *testing.T, s suite) {
	a := s.put("/r/a", "1", 0)
	a2 := s.put("/r/a", "2", a)
	a3 := s.put("/r/a", "3", a2)
	if err := s.Compact(s.ctx, a3); err != nil {
		t.Fatal(err)
	}
	if err := s.Compact(s.ctx, a2); !errors.Is(err, storage.ErrCompacted) {
		t.Errorf("second compaction: got %v, want ErrCompacted", err)
	}
	if _, err := s.List(s.ctx, "/r/", storage.ListOptions{Revision: a2}); !errors.Is(err, storage.ErrCompacted) {
		t.Errorf("list of the past: got %v, want ErrCompacted: the client is told 410 Gone", err)
	}
	if got := text(s.list("/r/", storage.ListOptions{Revision: a3}).Records); got != fmt.Sprintf("/r/a=3@%d", a3) {
		t.Errorf("list at the revision of the compaction: got %s", got)
	}
	select {
	case err := <-s.follow("/r/", a).ended:
		if !errors.Is(err, storage.ErrCompacted) {
			t.Errorf("watch of the past: got %v, want ErrCompacted", err)
		}
	case <-time.After(patience):
		t.Errorf("a watch of the past is still open after %v: its reader would miss events", patience)
	}
	s.put("/r/a", "4", a3)
	if got := s.follow("/r/", a3).events(t, 1); !strings.HasPrefix(got[0], "/r/a=4@") {
		t.Errorf("watch after the compaction: got %v", got)
	}
}
