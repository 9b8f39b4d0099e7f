package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/cache"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
)

// Delete begins the end of an object, or ends it. gone says which: an object
// that has time left, or something else that keeps it, is only marked, and will be
// removed by a later delete or by the update that takes away what keeps it.
func (r *Registry) Delete(ctx context.Context, namespace, name string, o *metav1.DeleteOptions) (item *cache.Item, gone bool, err error) {
	dryRun := len(o.DryRun) > 0
	err = r.retry(ctx, namespace, name, "delete", func(old *cache.Item) (err error) {
		if old == nil {
			return apierrors.NewNotFound(r.Row.GroupResource(), name)
		}
		if err := r.preconditions(old.Object, o.Preconditions); err != nil {
			return err
		}
		if err := r.admit(ctx, resource.Delete, nil, old.Object, Write{DryRun: dryRun}); err != nil {
			return err
		}
		var next resource.Object
		switch next, gone = r.end(old.Object, o); {
		case gone:
			item, err = r.remove(ctx, old, old.Object.DeepCopyObject().(resource.Object), dryRun)
		case next == nil:
			item, err = old, r.stillNewest(ctx, old)
		default:
			item, err = r.mark(ctx, old, next, dryRun)
		}
		return err
	})
	return item, gone, err
}

func (r *Registry) mark(ctx context.Context, old *cache.Item, next resource.Object, dryRun bool) (*cache.Item, error) {
	data, err := r.encode(next)
	if err != nil {
		return nil, err
	}
	if dryRun {
		return unwritten(old.Key, next), nil
	}
	return r.put(ctx, old.Key, next, data, old.Revision)
}

// remove takes the object out of the store. last is how its client sees it for the last time.
func (r *Registry) remove(ctx context.Context, old *cache.Item, last resource.Object, dryRun bool) (*cache.Item, error) {
	if dryRun {
		return unwritten(old.Key, last), nil
	}
	revision, err := r.Store.Delete(ctx, old.Key, old.Revision)
	if err != nil {
		return nil, err
	}
	r.Cache.Wrote(revision)
	return cache.NewItem(old.Key, revision, last), nil
}

func (r *Registry) preconditions(obj resource.Object, p *metav1.Preconditions) error {
	if p == nil {
		return nil
	}
	var err error
	switch {
	case p.UID != nil && *p.UID != obj.GetUID():
		err = fmt.Errorf("the UID in the precondition (%s) does not match the UID in record (%s). The object might have been deleted and then recreated", *p.UID, obj.GetUID())
	case p.ResourceVersion != nil && *p.ResourceVersion != obj.GetResourceVersion():
		err = fmt.Errorf("the ResourceVersion in the precondition (%s) does not match the ResourceVersion in record (%s). The object might have been modified", *p.ResourceVersion, obj.GetResourceVersion())
	default:
		return nil
	}
	return apierrors.NewConflict(r.Row.GroupResource(), obj.GetName(), err)
}

// end decides what a delete makes of an object: another object, or nothing any
// more (gone), or nothing new (neither), because its end is due earlier than what is asked for.
//
// See k8s.io/apiserver/pkg/registry/rest/delete.go, BeforeDelete.
func (r *Registry) end(old resource.Object, o *metav1.DeleteOptions) (next resource.Object, gone bool) {
	next = old.DeepCopyObject().(resource.Object)
	marked := old.GetDeletionTimestamp() != nil
	var grace int64
	if left := old.GetDeletionGracePeriodSeconds(); marked && left != nil && *left > 0 {
		if o.GracePeriodSeconds == nil || max(*o.GracePeriodSeconds, 0) >= *left {
			return nil, false
		}
		grace = r.shorten(next, *left, *o.GracePeriodSeconds)
	} else if !marked && r.Row.GracePeriod != nil {
		grace = r.Row.GracePeriod(old, o.GracePeriodSeconds)
	}
	if !marked {
		next.SetFinalizers(finalizersFor(o, old.GetFinalizers()))
		date(next, r.Now().Add(time.Duration(grace)*time.Second))
	}
	if grace > 0 {
		next.SetDeletionGracePeriodSeconds(&grace)
		return next, false
	}
	if !r.kept(next) {
		return nil, true
	}
	if r.Row.Finalizers == nil {
		zero := int64(0)
		next.SetDeletionGracePeriodSeconds(&zero)
	}
	if now := metav1.NewTime(r.Now()); now.Before(next.GetDeletionTimestamp()) {
		next.SetDeletionTimestamp(&now)
	}
	r.fill(next)
	return next, false
}

// shorten moves a date of deletion to an earlier one, though not into the past.
func (r *Registry) shorten(obj resource.Object, left, asked int64) int64 {
	grace := asked
	if asked < 0 {
		grace = 1
	}
	at := obj.GetDeletionTimestamp().Add(time.Duration(grace-left) * time.Second)
	if now := r.Now(); at.Before(now) {
		at = now
		grace = min(grace, 1)
	}
	t := metav1.NewTime(at)
	obj.SetDeletionTimestamp(&t)
	return grace
}

func date(obj resource.Object, at time.Time) {
	t := metav1.NewTime(at)
	obj.SetDeletionTimestamp(&t)
	if obj.GetGeneration() > 0 {
		obj.SetGeneration(obj.GetGeneration() + 1)
	}
}

// kept says whether something still has to happen before the object may go.
func (r *Registry) kept(obj resource.Object) bool {
	return len(obj.GetFinalizers()) > 0 || r.Row.Finalizers != nil && len(r.Row.Finalizers(obj)) > 0
}

// ends says whether an update takes away the last that kept the object.
func (r *Registry) ends(obj, old resource.Object) bool {
	left := old.GetDeletionGracePeriodSeconds()
	return old.GetDeletionTimestamp() != nil && (left == nil || *left == 0) && !r.kept(obj)
}

// finalizersFor records the propagation policy: what shall become of those that the
// object owns is done by the garbage collector, which finds its orders here.
func finalizersFor(o *metav1.DeleteOptions, finalizers []string) []string {
	policy := metav1.DeletePropagationBackground
	//lint:ignore SA1019 clients of old still send it
	orphan := o.OrphanDependents
	switch {
	case orphan != nil && *orphan:
		policy = metav1.DeletePropagationOrphan
	case orphan != nil:
	case o.PropagationPolicy != nil:
		policy = *o.PropagationPolicy
	default:
		return finalizers
	}
	out := slices.DeleteFunc(slices.Clone(finalizers), func(f string) bool {
		return f == metav1.FinalizerOrphanDependents || f == metav1.FinalizerDeleteDependents
	})
	switch policy {
	case metav1.DeletePropagationOrphan:
		out = append(out, metav1.FinalizerOrphanDependents)
	case metav1.DeletePropagationForeground:
		out = append(out, metav1.FinalizerDeleteDependents)
	}
	return out
}

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
	return page, context.Cause(ctx)
}

// Expire removes objects that were written longer ago than life, as their cached
// state says, until ctx is done. Events are not kept for ever.
func (r *Registry) Expire(ctx context.Context, tick <-chan time.Time, written func(resource.Object) time.Time, life time.Duration) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
		r.Cache.Snapshot().Ascend(r.prefix, func(item *cache.Item) bool {
			if r.Now().Sub(written(item.Object)) > life {
				if _, err := r.Store.Delete(ctx, item.Key, item.Revision); err != nil && !errors.Is(err, storage.ErrConflict) {
					r.Log.Warn("an object that has expired can't be removed", "key", item.Key, "error", err)
				}
			}
			return ctx.Err() == nil
		})
	}
}
