// Package memory is a store that is gone when its process ends.
//
// It keeps the state at the last compaction and every write since, and answers
// everything from these two: slow, and easy to see through. Tests use it, and
// the store on etcd has to behave like it.
package memory

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
)

// A Store is a [storage.Store] in memory.
type Store struct {
	mu        sync.Mutex // guards the fields below
	base      map[string]storage.Record
	compacted int64           // the revision of base
	log       []storage.Event // log[i] has revision compacted+1+i
	current   map[string]storage.Record
	written   chan struct{} // closed by the next write
}

var _ storage.Store = (*Store)(nil)

// New returns an empty store at revision 1, as etcd's first is.
func New() *Store {
	return &Store{base: map[string]storage.Record{}, compacted: 1,
		current: map[string]storage.Record{}, written: make(chan struct{})}
}

// revision is the newest one. The caller holds mu.
func (s *Store) revision() int64 { return s.compacted + int64(len(s.log)) }

// Revision implements storage.Reader.
func (s *Store) Revision(context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revision(), nil
}

// Get implements storage.Reader.
func (s *Store) Get(_ context.Context, key string) (storage.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.current[key]
	if !ok {
		return r, storage.ErrNotFound
	}
	return r, nil
}

// List implements storage.Reader.
func (s *Store) List(_ context.Context, prefix string, o storage.ListOptions) (storage.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	page := storage.Page{Revision: o.Revision}
	state := s.current
	switch {
	case o.Revision == 0:
		page.Revision = s.revision()
	case o.Revision < s.compacted:
		return page, storage.ErrCompacted
	case o.Revision > s.revision():
		return page, storage.ErrFuture
	default:
		state = maps.Clone(s.base)
		replay(state, s.log[:o.Revision-s.compacted])
	}
	for _, key := range slices.Sorted(maps.Keys(state)) {
		switch {
		case !strings.HasPrefix(key, prefix) || key < o.Start:
		case o.Limit > 0 && int64(len(page.Records)) == o.Limit:
			page.Remaining++
		default:
			page.Records = append(page.Records, state[key])
		}
	}
	return page, nil
}

func replay(state map[string]storage.Record, log []storage.Event) {
	for _, e := range log {
		if e.Deleted {
			delete(state, e.Key)
		} else {
			state[e.Key] = e.Record
		}
	}
}

// Put implements storage.Writer.
func (s *Store) Put(_ context.Context, key string, value []byte, expected int64) (int64, error) {
	return s.write(storage.Event{Record: storage.Record{Key: key, Value: bytes.Clone(value)}}, expected)
}

// Delete implements storage.Writer.
func (s *Store) Delete(_ context.Context, key string, expected int64) (int64, error) {
	return s.write(storage.Event{Record: storage.Record{Key: key}, Deleted: true}, expected)
}

func (s *Store) write(e storage.Event, expected int64) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.current[e.Key]
	switch {
	case ok && found.Revision != expected:
		return 0, &storage.Conflict{Current: &found}
	case !ok && (expected != 0 || e.Deleted):
		return 0, &storage.Conflict{}
	}
	e.Revision = s.revision() + 1
	s.log = append(s.log, e)
	replay(s.current, s.log[len(s.log)-1:])
	close(s.written)
	s.written = make(chan struct{})
	return e.Revision, nil
}

// Watch implements storage.Watcher.
func (s *Store) Watch(ctx context.Context, prefix string, after int64, progress <-chan struct{}, deliver func(storage.Batch) error) error {
	asked := false
	for {
		batch, written, err := s.since(prefix, after)
		if err != nil {
			return err
		}
		if asked || len(batch.Events) > 0 {
			if err := deliver(batch); err != nil {
				return err
			}
		}
		after, asked = max(after, batch.Revision), false
		select {
		case <-ctx.Done():
			return nil
		case <-written:
		case <-progress:
			asked = true
		}
	}
}

// since returns the events after a revision, and a channel that is closed when
// there are more.
func (s *Store) since(prefix string, after int64) (storage.Batch, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if after < s.compacted {
		return storage.Batch{}, nil, storage.ErrCompacted
	}
	batch := storage.Batch{Revision: s.revision()}
	for _, e := range s.log[min(after-s.compacted, int64(len(s.log))):] {
		if strings.HasPrefix(e.Key, prefix) {
			batch.Events = append(batch.Events, e)
		}
	}
	return batch, s.written, nil
}

// Compact implements storage.Compactor.
func (s *Store) Compact(_ context.Context, revision int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case revision <= s.compacted:
		return storage.ErrCompacted
	case revision > s.revision():
		return storage.ErrFuture
	}
	n := revision - s.compacted
	replay(s.base, s.log[:n])
	s.log, s.compacted = slices.Clone(s.log[n:]), revision
	return nil
}
