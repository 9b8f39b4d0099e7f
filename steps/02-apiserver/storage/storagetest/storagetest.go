// Package storagetest is what every store must pass.
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

// patience is how long a check waits for what must come.
const patience = 30 * time.Second

// Run checks a store. open returns a new, empty one for each check, and ends it
// with the test.
func Run(t *testing.T, open func(t *testing.T) storage.Store) {
	for _, check := range []struct {
		name string
		run  func(t *testing.T, s suite)
	}{
		{"AWriteNamesTheRevisionItHasSeen", writes},
		{"EveryWriteMakesTheRevisionHigher", revisions},
		{"OfManyWritersOneWins", race},
		{"AListIsTheStateAtOneRevision", listAtRevision},
		{"APageEndsAtTheLimit", pages},
		{"APrefixIsNoMoreThanItself", prefixes},
		{"AWatchContinuesAfterARevision", watch},
		{"AWatchMissesNothingUnderLoad", watchUnderLoad},
		{"AWatchReportsProgressWhenAsked", progress},
		{"AWatchEndsWithItsContextOrItsReader", watchEnds},
		{"TheCompactedPastIsGone", compaction},
	} {
		t.Run(check.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			t.Cleanup(cancel)
			check.run(t, suite{t, ctx, open(t)})
		})
	}
}

type suite struct {
	*testing.T
	ctx context.Context
	storage.Store
}

func (s suite) put(key, value string, expected int64) int64 {
	s.Helper()
	revision, err := s.Put(s.ctx, key, []byte(value), expected)
	if err != nil {
		s.Fatalf("put %s at %d: %v", key, expected, err)
	}
	return revision
}

func (s suite) delete(key string, expected int64) int64 {
	s.Helper()
	revision, err := s.Delete(s.ctx, key, expected)
	if err != nil {
		s.Fatalf("delete %s at %d: %v", key, expected, err)
	}
	return revision
}

func (s suite) list(prefix string, o storage.ListOptions) storage.Page {
	s.Helper()
	page, err := s.List(s.ctx, prefix, o)
	if err != nil {
		s.Fatalf("list %s with %+v: %v", prefix, o, err)
	}
	return page
}

func text(records []storage.Record) string {
	var s []string
	for _, r := range records {
		s = append(s, fmt.Sprintf("%s=%s@%d", r.Key, r.Value, r.Revision))
	}
	return strings.Join(s, " ")
}

func writes(t *testing.T, s suite) {
	first := s.put("/a", "1", 0)
	second := s.put("/a", "2", first)
	for _, c := range []struct {
		name  string
		write func() (int64, error)
		found string // what the conflict must tell
	}{
		{"create what is there", func() (int64, error) { return s.Put(s.ctx, "/a", []byte("x"), 0) }, "2"},
		{"update what has changed", func() (int64, error) { return s.Put(s.ctx, "/a", []byte("x"), first) }, "2"},
		{"update what is not there", func() (int64, error) { return s.Put(s.ctx, "/b", []byte("x"), first) }, ""},
		{"delete what has changed", func() (int64, error) { return s.Delete(s.ctx, "/a", first) }, "2"},
		{"delete what is not there", func() (int64, error) { return s.Delete(s.ctx, "/b", first) }, ""},
		{"delete what is not there, expecting nothing", func() (int64, error) { return s.Delete(s.ctx, "/b", 0) }, ""},
	} {
		_, err := c.write()
		var conflict *storage.Conflict
		switch {
		case !errors.As(err, &conflict) || !errors.Is(err, storage.ErrConflict):
			t.Errorf("%s: got %v, want a *storage.Conflict: the server answers 409 or 404 from it", c.name, err)
		case (conflict.Current == nil) != (c.found == ""):
			t.Errorf("%s: got the record %v, want %q", c.name, conflict.Current, c.found)
		case conflict.Current != nil && (string(conflict.Current.Value) != c.found || conflict.Current.Revision != second):
			t.Errorf("%s: got %s@%d, want %s@%d: the next try begins from it", c.name, conflict.Current.Value, conflict.Current.Revision, c.found, second)
		}
	}
	got, err := s.Get(s.ctx, "/a")
	if err != nil || text([]storage.Record{got}) != fmt.Sprintf("/a=2@%d", second) {
		t.Errorf("after the refused writes: got %v (%v), want /a=2@%d", got, err, second)
	}
	s.delete("/a", second)
	if _, err := s.Get(s.ctx, "/a"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("get of a deleted key: got %v, want ErrNotFound", err)
	}
}

func revisions(t *testing.T, s suite) {
	last := s.put("/a", "1", 0)
	for name, write := range map[string]func() int64{
		"create": func() int64 { return s.put("/b", "1", 0) },
		"update": func() int64 { return s.put("/a", "2", last) },
	} {
		if got := write(); got <= last {
			t.Errorf("%s: got revision %d after %d: resource versions would go backwards", name, got, last)
		} else if name == "update" {
			last = got
		}
	}
	b, err := s.Get(s.ctx, "/b")
	if err != nil {
		t.Fatal(err)
	}
	deleted := s.delete("/b", b.Revision)
	if deleted <= b.Revision {
		t.Errorf("delete: got revision %d after %d", deleted, b.Revision)
	}
	if now, err := s.Revision(s.ctx); err != nil || now != deleted {
		t.Errorf("newest revision: got %d (%v), want that of the last write, %d", now, err, deleted)
	}
}

func race(t *testing.T, s suite) {
	seen := s.put("/a", "0", 0)
	const writers = 16
	won := make([]error, writers)
	var wait sync.WaitGroup
	for i := range writers {
		wait.Go(func() { _, won[i] = s.Put(s.ctx, "/a", []byte{byte('a' + i)}, seen) })
	}
	wait.Wait()
	winners := 0
	for i, err := range won {
		if err == nil {
			winners++
		} else if !errors.Is(err, storage.ErrConflict) {
			t.Errorf("writer %d: got %v, want ErrConflict", i, err)
		}
	}
	if winners != 1 {
		t.Errorf("%d of %d writers from the same revision succeeded, want 1: the others' changes are lost", winners, writers)
	}
}

func listAtRevision(t *testing.T, s suite) {
	a := s.put("/r/a", "1", 0)
	b := s.put("/r/b", "1", 0)
	a2 := s.put("/r/a", "2", a)
	gone := s.delete("/r/b", b)
	for revision, want := range map[int64]string{
		a:    fmt.Sprintf("/r/a=1@%d", a),
		b:    fmt.Sprintf("/r/a=1@%d /r/b=1@%d", a, b),
		a2:   fmt.Sprintf("/r/a=2@%d /r/b=1@%d", a2, b),
		gone: fmt.Sprintf("/r/a=2@%d", a2),
		0:    fmt.Sprintf("/r/a=2@%d", a2),
	} {
		page := s.list("/r/", storage.ListOptions{Revision: revision})
		if got := text(page.Records); got != want {
			t.Errorf("list at %d: got %s, want %s", revision, got, want)
		}
		if revision != 0 && page.Revision != revision {
			t.Errorf("list at %d: got revision %d: the next page would be of another state", revision, page.Revision)
		}
		if revision == 0 && page.Revision != gone {
			t.Errorf("newest list: got revision %d, want %d: a watch from there would repeat events", page.Revision, gone)
		}
	}
	if _, err := s.List(s.ctx, "/r/", storage.ListOptions{Revision: gone + 1000}); !errors.Is(err, storage.ErrFuture) {
		t.Errorf("list of the future: got %v, want ErrFuture", err)
	}
}

func pages(t *testing.T, s suite) {
	for i := range 5 {
		s.put(fmt.Sprintf("/r/%d", i), "v", 0)
	}
	var keys []string
	o := storage.ListOptions{Limit: 2}
	for _, remaining := range []int64{3, 1, 0} {
		page := s.list("/r/", o)
		if page.Remaining != remaining {
			t.Errorf("page from %q: got %d remaining, want %d", o.Start, page.Remaining, remaining)
		}
		for _, r := range page.Records {
			keys = append(keys, r.Key)
		}
		o.Start, o.Revision = keys[len(keys)-1]+"\x00", page.Revision
		// What is written between the pages is in none of them.
		s.put("/r/"+fmt.Sprint(len(keys))+"-later", "v", 0)
	}
	if want := []string{"/r/0", "/r/1", "/r/2", "/r/3", "/r/4"}; !slices.Equal(keys, want) {
		t.Errorf("all pages: got %v, want %v", keys, want)
	}
}

func prefixes(t *testing.T, s suite) {
	s.put("/pods/a/x", "1", 0)
	s.put("/pods/ab/x", "1", 0)
	s.put("/podtemplates/a/x", "1", 0)
	if got := s.list("/pods/a/", storage.ListOptions{}).Records; len(got) != 1 || got[0].Key != "/pods/a/x" {
		t.Errorf("list of /pods/a/: got %s, want /pods/a/x alone", text(got))
	}
	if got := s.list("/none/", storage.ListOptions{}).Records; len(got) != 0 {
		t.Errorf("list of nothing: got %s", text(got))
	}
}
