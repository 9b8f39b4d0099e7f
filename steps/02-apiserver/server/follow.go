package server

import (
	"context"
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/registry"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// Follow tells of every object of a resource: first of those that there are, then of
// each that is made, changed or removed, until ctx is done. When the server had to
// list again, objects are told of once more, and those that have gone meanwhile with
// them: who keeps what may be read because of an object must not keep it for ever.
func (s *Server) Follow(ctx context.Context, of schema.GroupResource, changed func(obj resource.Object, gone bool)) error {
	reg := s.Registry(of)
	if reg == nil {
		return fmt.Errorf("there is no resource %s to follow", of)
	}
	f := follower{changed: changed, known: map[string]resource.Object{}}
	for ctx.Err() == nil {
		w, err := reg.Watch(ctx, "", &internalversion.ListOptions{ResourceVersion: "0"})
		if err != nil {
			if ctx.Err() == nil && reg.Cache.Wait(ctx, 0) == nil {
				continue
			}
			return ctx.Err()
		}
		f.follow(ctx, w)
		w.Close()
	}
	return nil
}

// A follower remembers what it has told of.
type follower struct {
	changed func(obj resource.Object, gone bool)
	known   map[string]resource.Object
}

// follow returns when the watch has ended. Its first events are all objects that
// there are.
func (f *follower) follow(ctx context.Context, w *registry.Watch) {
	before := f.known
	f.known = make(map[string]resource.Object, len(before))
	for {
		events, _, more, err := w.Next()
		if err != nil {
			maps.Copy(f.known, before)
			return
		}
		for _, e := range events {
			f.tell(e)
			delete(before, e.Item.Key)
		}
		for _, obj := range before {
			f.changed(obj, true)
		}
		clear(before)
		select {
		case <-more:
		case <-ctx.Done():
			return
		}
	}
}

func (f *follower) tell(e registry.Event) {
	gone := e.Type == watch.Deleted
	if gone {
		delete(f.known, e.Item.Key)
	} else {
		f.known[e.Item.Key] = e.Item.Object
	}
	f.changed(e.Item.Object.DeepCopyObject().(resource.Object), gone)
}
