package storage_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage/memory"
)

func TestHistoryIsKeptFromOneTickToTheNext(t *testing.T) {
	s := memory.New()
	var written []int64
	write := func() {
		last := int64(0)
		if len(written) > 0 {
			last = written[len(written)-1]
		}
		revision, err := s.Put(t.Context(), "/a", nil, last)
		if err != nil {
			t.Fatal(err)
		}
		written = append(written, revision)
	}
	ctx, cancel := context.WithCancel(t.Context())
	tick, done := make(chan time.Time), make(chan struct{})
	go func() {
		defer close(done)
		storage.KeepHistory(ctx, s, tick, func(err error) { t.Error(err) })
	}()
	for range 3 {
		write()
		tick <- time.Time{} // received: the tick before has been dealt with
	}
	cancel()
	<-done
	// The third tick compacts to what was newest at the second, the second write;
	// or, if the loop was slow, to what it had seen after the second one: the third.
	if _, err := s.List(t.Context(), "/", storage.ListOptions{Revision: written[0]}); !errors.Is(err, storage.ErrCompacted) {
		t.Errorf("list at the first write: got %v, want ErrCompacted", err)
	}
	if _, err := s.List(t.Context(), "/", storage.ListOptions{Revision: written[2]}); err != nil {
		t.Errorf("list at the last write: %v", err)
	}
}

func TestAConflictSaysWhatItFound(t *testing.T) {
	for _, c := range []struct {
		conflict storage.Conflict
		want     string
	}{
		{storage.Conflict{}, "there is no such key any more"},
		{storage.Conflict{Current: &storage.Record{Key: "/a", Revision: 5}}, "/a is at revision 5"},
	} {
		if got := c.conflict.Error(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
