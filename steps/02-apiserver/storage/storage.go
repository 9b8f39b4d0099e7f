// Package storage is the seam between the API server and the place where
// objects are: bytes by key, and a counter.
//
// The counter is the revision. Every write makes it one higher, whatever key it
// is to, and a record carries the revision of its last write. From this one
// number Kubernetes has its resourceVersion, and with it all that keeps many
// writers and watchers apart: a write says which revision it has seen and fails
// if there is a newer one, a list is the state at one revision, and a watch
// continues after a revision without a gap and without an event twice.
//
// The data model is etcd's, see https://etcd.io/docs/v3.6/learning/data_model.
package storage

import (
	"context"
	"errors"
	"fmt"
)

// Errors of a Store. An error that is none of them says nothing about whether a
// write happened.
var (
	ErrNotFound  = errors.New("no such key")
	ErrConflict  = errors.New("the key is at another revision") // always a *Conflict
	ErrCompacted = errors.New("the revision has been compacted")
	ErrFuture    = errors.New("the revision is in the future")
	ErrTooLarge  = errors.New("the value is too large for the store")
	ErrFull      = errors.New("the store has reached its space quota")
)

// A Record is a key with its value.
type Record struct {
	Key      string
	Value    []byte // nobody changes it
	Revision int64  // of the write that made it so
}

// A Conflict tells what was found in place of the revision that was expected.
type Conflict struct {
	Current *Record // nil if there is no such key
}

func (c *Conflict) Error() string {
	if c.Current == nil {
		return "there is no such key any more"
	}
	return fmt.Sprintf("%s is at revision %d", c.Current.Key, c.Current.Revision)
}

// Is says that a *Conflict is ErrConflict.
func (c *Conflict) Is(target error) bool { return target == ErrConflict }

// ListOptions ask for a part of a list.
type ListOptions struct {
	Revision int64  // of the state to list, 0 for the newest
	Start    string // the first key, if it is not the first of the prefix
	Limit    int64  // the most records to return, 0 for all
}

// A Page is a list or a part of it, in order of keys.
type Page struct {
	Records   []Record
	Revision  int64 // of the state that was listed
	Remaining int64 // how many records would follow, had there been no limit
}

// A Reader reads what was written last: a read that begins after a write has
// ended sees it, whoever wrote.
type Reader interface {
	// Get returns ErrNotFound if there is no such key.
	Get(ctx context.Context, key string) (Record, error)

	// List returns the records whose keys begin with prefix, ErrCompacted if the
	// state asked for is gone, and ErrFuture if it has not been yet.
	List(ctx context.Context, prefix string, o ListOptions) (Page, error)

	// Revision is the newest revision.
	Revision(ctx context.Context) (int64, error)
}

// A Writer writes only if the key is still as its caller has seen it.
type Writer interface {
	// Put writes value if the key is at the revision expected, 0 if there must be
	// no such key, and returns the new revision; otherwise a *Conflict.
	Put(ctx context.Context, key string, value []byte, expected int64) (revision int64, err error)

	// Delete removes the key by the same rule, and returns the revision of the
	// removal.
	Delete(ctx context.Context, key string, expected int64) (revision int64, err error)
}

// An Event is one write.
type Event struct {
	Record  // of a key that was deleted: no value, the revision of the deletion
	Deleted bool
}

// A Batch is the writes that came together, in order, and how far the watch has come.
type Batch struct {
	Events   []Event
	Revision int64 // no event up to here is still to come
}

// A Watcher tells of writes.
type Watcher interface {
	// Watch calls deliver with every write to a key that begins with prefix, made
	// after revision, in order and once. It blocks until ctx is done (nil) or
	// deliver returns an error (that error). It returns ErrCompacted if events that
	// it would have to deliver are gone, and other errors if the store fails.
	//
	// Something sent on progress asks for a batch, possibly without events, that
	// has come as far as the store had when it was asked. An answer may get lost.
	Watch(ctx context.Context, prefix string, after int64, progress <-chan struct{}, deliver func(Batch) error) error
}

// A Compactor forgets the past.
type Compactor interface {
	// Compact makes lists and watches of revisions before this one impossible. It
	// returns ErrCompacted if that has been done already.
	Compact(ctx context.Context, revision int64) error
}

// A Store is all of it. Its methods may be called at the same time.
type Store interface {
	Reader
	Writer
	Watcher
	Compactor
}
