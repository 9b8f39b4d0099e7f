package registry

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/cache"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/ending"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
)

// ending is how objects of this row go.
func (r *Registry) ending() ending.Rule { return ending.Rule{Strategy: r.Row.Strategy, Now: r.Now} }

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
		switch next, gone = r.ending().Next(old.Object, o); {
		case gone && next != nil:
			if item, err = r.mark(ctx, old, next, dryRun); err == nil && !dryRun {
				item, err = r.removeMarked(ctx, item)
			}
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

// removeMarked removes what has just been seen to have no time left. A kubelet that saw it
// may have done so first, which is as good; a client that has left meanwhile changes
// nothing: of what is marked nobody else would know that it is to go.
func (r *Registry) removeMarked(ctx context.Context, marked *cache.Item) (*cache.Item, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	item, err := r.remove(ctx, marked, marked.Object.DeepCopyObject().(resource.Object), false)
	if c := (*storage.Conflict)(nil); errors.As(err, &c) && c.Current == nil {
		return marked, nil
	}
	return item, err
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
	// Upstream names the kind here, and the resource everywhere else.
	return apierrors.NewConflict(schema.GroupResource{Group: r.Row.Group, Resource: r.Row.Kind}, obj.GetName(), err)
}
