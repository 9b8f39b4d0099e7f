package cache

import (
	"encoding/json"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage/memory"
)

func TestAnExpectedWriteIsNotDecoded(t *testing.T) {
	const key = prefix + "ns/a"
	for name, answerFirst := range map[string]bool{"the answer comes first": true, "the watch comes first": false} {
		t.Run(name, func(t *testing.T) {
			store := memory.New()
			c := run(t, store)
			var decoded atomic.Int64
			c.conf.Decode = func(r storage.Record) (resource.Object, error) { decoded.Add(1); return decode(r) }
			obj := &corev1.ConfigMap{Data: map[string]string{"v": "1"}}
			data, err := json.Marshal(obj)
			if err != nil {
				t.Fatal(err)
			}
			e := c.Expect(key, data, obj)
			var item *Item
			if answerFirst { // the revision after this one is not yet used
				item = c.Done(e, c.Revision()+1)
			}
			revision := put(t, store, "ns/a", "1", 0)
			fresh(t, c)
			if !answerFirst {
				item = c.Done(e, revision)
			}
			if got := c.Get(key); got == nil || got != item || got.Revision != revision || decoded.Load() != 0 {
				t.Errorf("got %+v after %d decodings, want the writer's own item %+v", got, decoded.Load(), item)
			}
			if c.Written() != revision || len(c.expected) != 0 {
				t.Errorf("written is %d, want %d; %d writes are still expected", c.Written(), revision, len(c.expected))
			}
		})
	}
}

func TestWhatOthersWriteIsDecoded(t *testing.T) {
	store := memory.New()
	c := run(t, store)
	const key = prefix + "ns/a"
	obj := &corev1.ConfigMap{Data: map[string]string{"v": "ours"}}
	data, err := json.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	e := c.Expect(key, data, obj)
	put(t, store, "ns/a", "theirs", 0)
	fresh(t, c)
	c.Forget(e) // it has lost
	if got := c.Get(key).Object.(*corev1.ConfigMap).Data["v"]; got != "theirs" || len(c.expected) != 0 {
		t.Errorf("got %q with %d writes expected, want what the others have written", got, len(c.expected))
	}
}

func TestTheSameBytesOfOthersAreTheirWrite(t *testing.T) {
	store := memory.New()
	c := run(t, store)
	obj := &corev1.ConfigMap{Data: map[string]string{"v": "1"}}
	data, err := json.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	e := c.Expect(prefix+"ns/a", data, obj)
	theirs := put(t, store, "ns/a", "1", 0)
	fresh(t, c)
	ours := put(t, store, "ns/a", "1", theirs)
	item := c.Done(e, ours)
	fresh(t, c)
	if got := c.Get(item.Key); item.Revision != ours || got.Revision != ours || got.Object.GetResourceVersion() == "" {
		t.Errorf("got %d in the cache and %d for the writer, want %d", got.Revision, item.Revision, ours)
	}
}
