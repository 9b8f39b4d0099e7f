// Package cache keeps the objects of one resource in memory, as the store has
// them, and answers lists and watches.
//
// One watch of the store feeds it, whatever the number of clients. It holds two
// things: the newest state, and the log of the last events. A list is a look at
// the state. A watcher is a place in the log: it reads on at its own pace, and is
// told when there is more. So a slow watcher costs nobody anything, until what
// it would have to read next has been dropped from the log; then it is cut off, and begins
// again with a list. There is no queue for each watcher, and nothing is sent twice or
// left out, because a place in the log is a revision.
//
// Upstream's peer is k8s.io/apiserver/pkg/storage/cacher.
package cache

import (
	"container/list"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/utils/third_party/forked/golang/btree"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/wire"
)

// ErrExpired says that events after a revision are not in the log any more.
var ErrExpired = errors.New("the events have been dropped")

// An Item is an object at one revision. Nobody changes it.
type Item struct {
	Key      string
	Revision int64
	Object   resource.Object
	wire.Body

	fields atomic.Pointer[fields.Set]
}

// Fields is what of(object) returns, which is asked once.
func (i *Item) Fields(of func(resource.Object) fields.Set) fields.Set {
	if set := i.fields.Load(); set != nil {
		return *set
	}
	set := of(i.Object)
	i.fields.Store(&set)
	return set
}

// NewItem returns the item of an object, whose resource version it sets.
func NewItem(key string, revision int64, obj resource.Object) *Item {
	obj.SetResourceVersion(strconv.FormatInt(revision, 10))
	return &Item{Key: key, Revision: revision, Object: obj, Body: wire.Body{Object: obj}}
}

// A Config is what a cache needs.
type Config struct {
	Store  storage.Store
	Prefix string // with a slash at its end

	// Decode makes an object of a record. A record that can't be decoded is
	// logged and left out.
	Decode func(storage.Record) (resource.Object, error)

	Log *slog.Logger
	Now func() time.Time // nil is time.Now
}

// A Cache is the memory of one resource. Its methods may be called at the same
// time.
type Cache struct {
	conf     Config
	progress chan struct{} // asks the store's watch how far it is

	mu       sync.RWMutex // guards the fields below
	items    *btree.BTree[*Item]
	revision int64 // of the state; 0 before the first list
	log      history
	changed  chan struct{} // closed when revision grows
	expected map[string]*Expectation
	written  int64 // the newest revision that this process has made here

	// In the order in which they came: those of one client are woken one after the
	// other, so that what they have for it leaves together.
	watchersMu sync.Mutex // guards watchers
	watchers   list.List  // of *Watcher
}

// New returns a cache that is empty until Run has been called.
func New(conf Config) *Cache {
	if conf.Now == nil {
		conf.Now = time.Now
	}
	return &Cache{conf: conf, progress: make(chan struct{}, 1), items: tree(), changed: make(chan struct{}),
		expected: map[string]*Expectation{}}
}

func tree() *btree.BTree[*Item] {
	return btree.New(32, func(a, b *Item) bool { return a.Key < b.Key })
}

// retry is how long the cache waits after the store has failed.
const retry = 200 * time.Millisecond

// Run feeds the cache from the store until ctx is done. When the store fails it goes on
// from where it was; only when it has been away for so long that the store has
// forgotten does it list again, and all watchers with it.
func (c *Cache) Run(ctx context.Context) {
	var asking sync.WaitGroup
	asking.Go(func() { c.keepAsking(ctx) })
	defer asking.Wait()
	for listed := false; ctx.Err() == nil; {
		var err error
		if !listed {
			err = c.list(ctx)
			listed = err == nil
		}
		if err == nil {
			err = c.conf.Store.Watch(ctx, c.conf.Prefix, c.Revision(), c.progress, c.apply)
			listed = !errors.Is(err, storage.ErrCompacted)
		}
		if ctx.Err() != nil {
			return
		}
		c.conf.Log.Warn("the watch of the store has ended", "prefix", c.conf.Prefix, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
	}
}

// idle is how often the store is asked how far it is when nobody else asks, so
// that the bookmarks of a resource that never changes do not grow old.
const idle = 20 * time.Second

func (c *Cache) keepAsking(ctx context.Context) {
	tick := time.NewTicker(idle)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.ask()
		}
	}
}

// ask makes the store report its progress. One question that waits is enough: its
// answer will be newer than now.
func (c *Cache) ask() {
	select {
	case c.progress <- struct{}{}:
	default:
	}
}

// list replaces the state. The events between the old and the new one are
// unknown, so the log begins anew.
func (c *Cache) list(ctx context.Context) error {
	page, err := c.conf.Store.List(ctx, c.conf.Prefix, storage.ListOptions{})
	if err != nil {
		return err
	}
	items := tree()
	for _, r := range page.Records {
		if item := c.item(r); item != nil {
			items.ReplaceOrInsert(item)
		}
	}
	c.replace(items, page.Revision)
	c.wake()
	return nil
}

func (c *Cache) replace(items *btree.BTree[*Item], revision int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.items = items
	c.log = history{begin: revision}
	c.reportedAll(revision)
	c.advance(revision)
}

func (c *Cache) item(r storage.Record) *Item {
	obj, err := c.conf.Decode(r)
	if err != nil {
		c.conf.Log.Error("an object in the store can't be read and is left out", "key", r.Key, "error", err)
		return nil
	}
	return NewItem(r.Key, r.Revision, obj)
}

// advance moves the revision. The caller holds mu, and calls wake when it does not any
// more.
func (c *Cache) advance(revision int64) {
	c.revision = revision
	close(c.changed)
	c.changed = make(chan struct{})
}

// wake tells the watchers that the revision has grown.
func (c *Cache) wake() {
	c.watchersMu.Lock()
	defer c.watchersMu.Unlock()
	for e := c.watchers.Front(); e != nil; e = e.Next() {
		e.Value.(*Watcher).Poke()
	}
}

// apply takes in what the store reports.
func (c *Cache) apply(b storage.Batch) error {
	if c.take(b, c.reported(b.Events)) {
		c.wake()
	}
	return nil
}

// take makes items, or nothing, the state of the keys of a batch. It reports whether
// the revision has grown.
func (c *Cache) take(b storage.Batch, items []*Item) bool {
	now := c.conf.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, e := range b.Events {
		if event := c.change(e.Record, items[i]); event != nil {
			event.Time, event.Size = now, len(e.Value)
			c.log.append(event)
		}
	}
	c.log.trim(now)
	if b.Revision <= c.revision {
		return false
	}
	c.advance(b.Revision)
	return true
}

// change makes item, or nothing, the state of a key, and returns the event that
// this is, if it is one.
func (c *Cache) change(r storage.Record, item *Item) *Event {
	event := &Event{Revision: r.Revision, Item: item}
	if item != nil {
		event.Old, _ = c.items.ReplaceOrInsert(item)
	} else {
		event.Old, _ = c.items.Delete(&Item{Key: r.Key})
	}
	if event.Item == nil && event.Old == nil {
		return nil
	}
	return event
}

// Revision is how far the cache has come.
func (c *Cache) Revision() int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.revision
}

// impatience is when a question about the progress is repeated.
const impatience = 10 * time.Millisecond

// Wait blocks until the cache has come as far as revision, or ctx is done.
// Revision 0 waits for the first list.
func (c *Cache) Wait(ctx context.Context, revision int64) error {
	for {
		c.mu.RLock()
		now, changed := c.revision, c.changed
		c.mu.RUnlock()
		if now > 0 && now >= revision {
			return nil
		}
		c.ask()
		select {
		case <-changed:
		case <-time.After(impatience):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Fresh blocks until the cache shows everything that had been written when it
// was called.
func (c *Cache) Fresh(ctx context.Context) error {
	revision, err := c.conf.Store.Revision(ctx)
	if err != nil {
		return err
	}
	return c.Wait(ctx, revision)
}

// Get returns the item of a key, nil if there is none.
func (c *Cache) Get(key string) *Item {
	c.mu.RLock()
	defer c.mu.RUnlock()
	item, _ := c.items.Get(&Item{Key: key})
	return item
}

// Len is how many objects there are.
func (c *Cache) Len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.items.Len()
}

// A Snapshot is the state at one revision.
type Snapshot struct {
	Revision int64
	items    *btree.BTree[*Item]
}

// Snapshot returns the state. It costs nothing to take: the cache and the
// snapshot share all that neither has changed since.
func (c *Cache) Snapshot() Snapshot {
	c.mu.Lock() // a clone marks the original
	defer c.mu.Unlock()
	return Snapshot{Revision: c.revision, items: c.items.Clone()}
}

// Ascend calls visit with the items whose keys begin with prefix, in order, until
// it returns false.
func (s Snapshot) Ascend(prefix string, visit func(*Item) bool) {
	s.items.AscendGreaterOrEqual(&Item{Key: prefix}, func(item *Item) bool {
		return len(item.Key) >= len(prefix) && item.Key[:len(prefix)] == prefix && visit(item)
	})
}
