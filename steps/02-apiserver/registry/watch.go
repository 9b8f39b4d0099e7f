package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/cache"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/wire"
)

// An Event is what one watcher is told.
type Event struct {
	Type     watch.EventType
	Item     *cache.Item // nil for a bookmark
	Revision int64       // of a bookmark: all before it has been told
	Initial  bool        // of a bookmark: it ends the initial events

	// Frames are shared with all who watch the change; nil if there was no change.
	Frames *wire.Frames
}

// A Watch is one client's view of what changes. One goroutine uses it.
type Watch struct {
	selection *selection
	watcher   *cache.Watcher
	first     []Event // the state from which the watch begins
}

// Watch begins a watch by the rules of
// https://kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-watch.
// o has been validated. The caller closes it.
func (r *Registry) Watch(ctx context.Context, namespace string, o *internalversion.ListOptions) (*Watch, error) {
	s, err := r.selection(namespace, o)
	if err != nil {
		return nil, err
	}
	revision, err := parseVersion(o.ResourceVersion)
	if err != nil {
		return nil, err
	}
	initial := o.SendInitialEvents != nil && *o.SendInitialEvents
	if revision > 0 && !initial {
		if err := r.wait(ctx, 0); err != nil {
			return nil, err
		}
		return &Watch{selection: s, watcher: r.Cache.Watch(revision)}, nil
	}
	if o.ResourceVersion == "" {
		err = r.fresh(ctx)
	} else {
		err = r.wait(ctx, revision)
	}
	if err != nil {
		return nil, err
	}
	state := r.Cache.Snapshot()
	w := &Watch{selection: s, watcher: r.Cache.Watch(state.Revision)}
	if initial || o.SendInitialEvents == nil { // the second is how it was before one could choose
		state.Ascend(s.prefix, func(item *cache.Item) bool {
			if s.matches(item) {
				w.first = append(w.first, Event{Type: watch.Added, Item: item})
			}
			return true
		})
	}
	if initial {
		w.first = append(w.first, Event{Type: watch.Bookmark, Revision: state.Revision, Initial: true})
	}
	return w, nil
}

// Close ends the watch. It may be called twice.
func (w *Watch) Close() { w.watcher.Close() }

// Poke wakes who waits for the watch, for a reason of one's own.
func (w *Watch) Poke() { w.watcher.Poke() }

// Next returns what is new for this client, the revision up to which that is all, and a
// channel that has a token when there may be more. An error ends the watch and is for
// the client.
func (w *Watch) Next() ([]Event, int64, <-chan struct{}, error) {
	after := w.watcher.After()
	events, revision, more, err := w.watcher.Next()
	if errors.Is(err, cache.ErrExpired) {
		return nil, 0, nil, apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %d", after))
	}
	out := w.first
	w.first = nil
	for _, e := range events {
		if told, ok := w.selection.event(e); ok {
			out = append(out, told)
		}
	}
	return out, revision, more, err
}

// event is what a change means to somebody who sees only the objects of the
// selection: an object that changes until it belongs to it is new, and one that does not
// belong to it any more has gone.
func (s *selection) event(e *cache.Event) (Event, bool) {
	is, was := s.contains(e.Item), s.contains(e.Old)
	switch {
	case is && was:
		return Event{Type: watch.Modified, Item: e.Item, Frames: &e.Frames}, true
	case is:
		return Event{Type: watch.Added, Item: e.Item, Frames: &e.Frames}, true
	case was:
		return Event{Type: watch.Deleted, Item: e.Gone(), Frames: &e.Frames}, true
	}
	return Event{}, false
}

func (s *selection) contains(item *cache.Item) bool {
	return item != nil && strings.HasPrefix(item.Key, s.prefix) && s.matches(item)
}
