package server

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/registry"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// Follow tells of every object of a resource: first of those that there are, then of
// each that is made, changed or removed, until ctx is done. When the server had to
// list again, objects are told of once more, and those that have gone meanwhile are not.
func (s *Server) Follow(ctx context.Context, of schema.GroupResource, changed func(obj resource.Object, gone bool)) error {
	reg := s.Registry(of)
	if reg == nil {
		return fmt.Errorf("there is no resource %s to follow", of)
	}
	for ctx.Err() == nil {
		w, err := reg.Watch(ctx, "", &internalversion.ListOptions{ResourceVersion: "0"})
		if err != nil {
			if ctx.Err() == nil && reg.Cache.Wait(ctx, 0) == nil {
				continue
			}
			return ctx.Err()
		}
		follow(ctx, w, changed)
	}
	return nil
}

// follow returns when the watch has ended.
func follow(ctx context.Context, w *registry.Watch, changed func(obj resource.Object, gone bool)) {
	for {
		events, _, more, err := w.Next()
		if err != nil {
			return
		}
		for _, e := range events {
			changed(e.Item.Object.DeepCopyObject().(resource.Object), e.Type == watch.Deleted)
		}
		select {
		case <-more:
		case <-ctx.Done():
			return
		}
	}
}
