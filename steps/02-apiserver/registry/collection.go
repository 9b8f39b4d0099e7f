package registry

import (
	"context"
	"errors"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/cache"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
)

// deleteWorkers is how many objects of a collection are deleted at once.
const deleteWorkers = 8

// DeleteCollection deletes all objects of a list, and returns what was listed. Those that have
// gone meanwhile do not matter; the first other error ends it halfway.
func (r *Registry) DeleteCollection(ctx context.Context, namespace string, list *internalversion.ListOptions, o *metav1.DeleteOptions) (*Page, error) {
	page, err := r.List(ctx, namespace, list)
	if err != nil {
		return nil, err
	}
	work := make(chan *cache.Item)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers sync.WaitGroup
	for range min(deleteWorkers, len(page.Items)) {
		workers.Go(func() {
			for item := range work {
				_, _, err := r.Delete(ctx, item.Object.GetNamespace(), item.Object.GetName(), o)
				if err != nil && !apierrors.IsNotFound(err) {
					cancel(err)
				}
			}
		})
	}
	for _, item := range page.Items {
		if ctx.Err() == nil {
			work <- item
		}
	}
	close(work)
	workers.Wait()
	return page, r.status(context.Cause(ctx), "deletecollection", "")
}

// Expire removes objects that were written longer ago than life, as their cached
// state says, until ctx is done. Events are not kept for ever, whatever their writers
// take for the time: one that is of the far future has been there since its creation.
func (r *Registry) Expire(ctx context.Context, tick <-chan time.Time, written func(resource.Object) time.Time, life time.Duration) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
		r.Cache.Snapshot().Ascend(r.prefix, func(item *cache.Item) bool {
			age := r.Now().Sub(written(item.Object))
			if age < -life {
				age = r.Now().Sub(item.Object.GetCreationTimestamp().Time)
			}
			if age > life {
				if _, err := r.Store.Delete(ctx, item.Key, item.Revision); err != nil && !errors.Is(err, storage.ErrConflict) {
					r.Log.Warn("an object that has expired can't be removed", "key", item.Key, "error", err)
				}
			}
			return ctx.Err() == nil
		})
	}
}
