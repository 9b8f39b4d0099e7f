package cache

import (
	"container/list"
	"slices"
	"sync"
	"time"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/wire"
)

// An Event is one change of one object.
type Event struct {
	Revision int64
	Time     time.Time
	Size     int   // how many bytes it takes in the store
	Item     *Item // as it is since; nil if it was deleted
	Old      *Item // as it was before; nil if it was created

	Frames wire.Frames // of Item, or of Gone

	once sync.Once
	gone *Item
}

// Gone is the object as it was before, at the revision of the event. It is what
// those see for whom the object ends to exist.
func (e *Event) Gone() *Item {
	e.once.Do(func() {
		e.gone = NewItem(e.Old.Key, e.Revision, e.Old.Object.DeepCopyObject().(resource.Object))
	})
	return e.gone
}

// The log holds events for as long as a client may be away, if they are not too
// many. The numbers are upstream's (cacher/watch_cache.go), except for the most.
const (
	keepFor  = 75 * time.Second
	keepMin  = 100
	keepMost = 20_000

	// In memory each takes several times as much: as an object, encoded, and in frames.
	keepBytes = 100 << 20
)

// A history is the log of the last events.
type history struct {
	begin  int64    // all events after this revision are there
	events []*Event // never changed, only appended to and cut at the front
	cut    int      // how many may be in memory before the first
	bytes  int      // the sizes of all
}

func (h *history) append(e *Event) {
	h.events = append(h.events, e)
	h.bytes += e.Size
}

// trim drops what is too old or too much.
func (h *history) trim(now time.Time) {
	n := 0
	for len(h.events)-n > keepMin && (len(h.events)-n > keepMost || h.bytes > keepBytes || now.Sub(h.events[n].Time) > keepFor) {
		h.bytes -= h.events[n].Size
		n++
	}
	if n == 0 {
		return
	}
	h.begin = h.events[n-1].Revision
	h.events = h.events[n:]
	if h.cut += n; h.cut > len(h.events)/4 { // watchers may be reading them: they can't be cleared
		h.events, h.cut = slices.Clone(h.events), 0
	}
}

// since returns the events after a revision.
func (h *history) since(revision int64) ([]*Event, error) {
	if revision < h.begin {
		return nil, ErrExpired
	}
	at, _ := slices.BinarySearchFunc(h.events, revision+1, func(e *Event, r int64) int { return int(e.Revision - r) })
	return h.events[at:len(h.events):len(h.events)], nil
}

// A Watcher is a place in the log. One goroutine uses it, but for Poke.
//
// Each has a channel of its own, of which nothing is asked but a token. A
// thousand goroutines that waited for one channel to be closed, and for other things
// besides, would stand in one another's way at every event.
type Watcher struct {
	cache *Cache
	after int64
	more  chan struct{} // has a token when there may be something to do
	place *list.Element // among the cache's watchers
}

// Watch returns a watcher that begins after a revision, which may be one that is
// yet to come. The caller closes it.
func (c *Cache) Watch(after int64) *Watcher {
	w := &Watcher{cache: c, after: after, more: make(chan struct{}, 1)}
	c.watchersMu.Lock()
	defer c.watchersMu.Unlock()
	w.place = c.watchers.PushBack(w)
	return w
}

// Close ends the watcher. It may be called twice.
func (w *Watcher) Close() {
	w.cache.watchersMu.Lock()
	defer w.cache.watchersMu.Unlock()
	w.cache.watchers.Remove(w.place)
}

// Poke wakes who waits for the watcher, for a reason of one's own.
func (w *Watcher) Poke() {
	select {
	case w.more <- struct{}{}:
	default: // it has not seen the last one yet
	}
}

// After is the revision after which the next events are.
func (w *Watcher) After() int64 { return w.after }

// Next returns the events that have come since it was last called, the revision up to
// which that is everything, and a channel that has a token when there may be more.
// After ErrExpired the watcher is of no use.
func (w *Watcher) Next() (events []*Event, revision int64, more <-chan struct{}, err error) {
	c := w.cache
	c.mu.RLock()
	defer c.mu.RUnlock()
	if w.after < c.revision {
		if events, err = c.log.since(w.after); err != nil {
			return nil, 0, nil, err
		}
		w.after = c.revision
	}
	return events, w.after, w.more, nil
}
