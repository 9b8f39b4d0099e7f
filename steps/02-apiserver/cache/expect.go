package cache

import (
	"bytes"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
)

// An Expectation is a write of this process that is under way.
type Expectation struct {
	key   string
	value []byte
	obj   resource.Object
	item  *Item // made by who is first to know the revision; guarded by the cache's mu
}

// Expect tells the cache of a write before it is made. The store says twice that
// it was made, in its answer and in its watch, in any order; whoever hears of it first
// makes the item that both have, which is then neither decoded nor encoded twice.
//
// The caller ends it by Done or Forget. The object is the cache's from now on.
func (c *Cache) Expect(key string, value []byte, obj resource.Object) *Expectation {
	e := &Expectation{key: key, value: value, obj: obj}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expected[key] = e // of two writers of a key one will fail, and nothing is lost by not knowing the other
	return e
}

// Done says at which revision the write was made, and returns its item.
func (c *Cache) Done(e *Expectation, revision int64) *Item {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written = max(c.written, revision)
	switch {
	case e.item == nil:
		e.item = NewItem(e.key, revision, e.obj)
	case e.item.Revision != revision: // another server has written the very same bytes
		e.item = NewItem(e.key, revision, e.obj.DeepCopyObject().(resource.Object))
	}
	if revision <= c.revision {
		c.unexpect(e)
	}
	return e.item
}

// Forget says that the write has failed, or may have.
func (c *Cache) Forget(e *Expectation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unexpect(e)
}

// unexpect leaves the expectation of a later writer alone. The caller holds mu.
func (c *Cache) unexpect(e *Expectation) {
	if c.expected[e.key] == e {
		delete(c.expected, e.key)
	}
}

// Wrote tells the cache of a deletion that has just been made by this process.
func (c *Cache) Wrote(revision int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written = max(c.written, revision)
}

// Written is the revision of the newest write of which this process has told.
// A cache that has come as far shows this process all its own writes.
func (c *Cache) Written() int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.written
}

// reported returns the items of events, nil for a deletion.
func (c *Cache) reported(events []storage.Event) []*Item {
	next := make([]*Item, len(events))
	c.mu.Lock()
	for i, e := range events {
		next[i] = c.meet(e)
	}
	c.mu.Unlock()
	for i, e := range events {
		if next[i] == nil && !e.Deleted {
			next[i] = c.item(e.Record)
		}
	}
	return next
}

// meet returns the item of an expected write, nil if the event is none. The caller
// holds mu.
func (c *Cache) meet(e storage.Event) *Item {
	x := c.expected[e.Key]
	switch {
	case e.Deleted || x == nil || !bytes.Equal(x.value, e.Value):
		return nil
	case x.item == nil:
		x.item = NewItem(e.Key, e.Revision, x.obj)
	case x.item.Revision != e.Revision:
		return nil
	}
	delete(c.expected, e.Key)
	return x.item
}

// reportedAll drops the expectations that the watch will not meet, because a
// list has shown what they wrote. The caller holds mu.
func (c *Cache) reportedAll(revision int64) {
	for _, x := range c.expected {
		if x.item != nil && x.item.Revision <= revision {
			c.unexpect(x)
		}
	}
}
