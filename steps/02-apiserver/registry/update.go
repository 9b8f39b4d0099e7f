package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/cache"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
)

// A Change makes the next object from the present one, which it must not touch. old
// is nil if there is none. If the object that it returns has a resource version,
// that must be old's. It may be called more than once.
type Change func(old resource.Object) (resource.Object, error)

// Update changes an object, and creates it if there is none and w allows it. The
// item is what the object is then, also if that was its end.
func (r *Registry) Update(ctx context.Context, namespace, name string, w Write, change Change) (item *cache.Item, created bool, err error) {
	err = r.retry(ctx, namespace, name, "update", func(old *cache.Item) (err error) {
		if created = old == nil; created {
			item, err = r.createByUpdate(ctx, namespace, name, w, change)
		} else {
			item, err = r.update(ctx, old, w, change)
		}
		return err
	})
	return item, created, err
}

// Change changes an object in the name of the server itself, which may do what
// no strategy allows a client: give a pod its node. A change that returns old has
// changed nothing.
func (r *Registry) Change(ctx context.Context, namespace, name string, change Change) error {
	return r.retry(ctx, namespace, name, "update", func(old *cache.Item) error {
		if old == nil {
			return apierrors.NewNotFound(r.Row.GroupResource(), name)
		}
		next, err := change(old.Object)
		if err != nil {
			return told(err)
		}
		if next == old.Object {
			return r.stillNewest(ctx, old)
		}
		_, err = r.mark(ctx, old, next, false)
		return err
	})
}

// retry calls try with the newest item, nil if there is none, until the store has nothing
// against it. It begins with what the cache has, which is nearly always the newest;
// an error that may come from its being old is none before the store has been asked.
func (r *Registry) retry(ctx context.Context, namespace, name, verb string, try func(old *cache.Item) error) error {
	old := r.Cache.Get(r.key(namespace, name))
	for sure := false; ; sure = true {
		if old == nil && !sure { // it is not there, or not yet in the cache
			var err error
			if old, err = r.read(ctx, namespace, name); err != nil && !apierrors.IsNotFound(err) {
				return err
			}
			sure = true
		}
		err := try(old)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return r.status(context.Cause(ctx), verb, name)
		}
		newest, e := r.newest(ctx, old, name, err, sure)
		if e != nil {
			return e
		}
		if newest == old {
			return r.status(err, verb, name)
		}
		old = newest
	}
}

// newest is the item with which to try again after an error: the one that a
// conflict has found, or that the store has if that was not sure. It is old if
// there is no reason to try again.
func (r *Registry) newest(ctx context.Context, old *cache.Item, name string, failed error, sure bool) (*cache.Item, error) {
	var conflict *storage.Conflict
	switch {
	case errors.As(failed, &conflict) && conflict.Current == nil:
		return nil, nil
	case errors.As(failed, &conflict):
		return r.item(*conflict.Current)
	case sure:
		return old, nil
	}
	item, err := r.read(ctx, old.Object.GetNamespace(), name)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err == nil && item.Revision == old.Revision:
		return old, nil
	}
	return item, err
}

func (r *Registry) createByUpdate(ctx context.Context, namespace, name string, w Write, change Change) (*cache.Item, error) {
	if !w.Create || w.Subresource != nil {
		return nil, apierrors.NewNotFound(r.Row.GroupResource(), name)
	}
	obj, err := change(nil)
	if err != nil {
		return nil, told(err)
	}
	if w.UID != "" {
		return nil, apierrors.NewConflict(r.Row.GroupResource(), name, otherUID(w.UID, ""))
	}
	item, err := r.create(ctx, namespace, obj, w)
	if !apierrors.IsAlreadyExists(err) {
		return item, err
	}
	// Somebody was faster, so it is an update after all.
	record, err := r.Store.Get(ctx, r.key(namespace, name))
	if err != nil {
		return nil, err
	}
	return nil, &storage.Conflict{Current: &record}
}

func otherUID(wanted, found types.UID) error {
	//lint:ignore ST1005 upstream's words, by which a search engine finds help
	return fmt.Errorf("Precondition failed: UID in precondition: %s, UID in object meta: %s", wanted, found)
}

// update makes one try to write what change makes of old.
func (r *Registry) update(ctx context.Context, old *cache.Item, w Write, change Change) (*cache.Item, error) {
	name := old.Object.GetName()
	if uid := old.Object.GetUID(); w.UID != "" && w.UID != uid {
		return nil, apierrors.NewConflict(r.Row.GroupResource(), name, otherUID(w.UID, uid))
	}
	obj, err := change(old.Object)
	if err != nil {
		return nil, told(err)
	}
	version := obj.GetResourceVersion()
	unconditional := version == "" || version == "0"
	switch {
	case unconditional && r.Row.VersionOnUpdate:
		return nil, apierrors.NewInvalid(schema.GroupKind{Group: r.Row.Group, Kind: r.Row.Name}, name, // so upstream
			field.ErrorList{field.Invalid(metadata.Child("resourceVersion"), 0, "must be specified for an update")})
	case !unconditional && version != old.Object.GetResourceVersion():
		return nil, apierrors.NewConflict(r.Row.GroupResource(), name, errChanged)
	}
	if err := r.prepareChanged(ctx, obj, old.Object, w); err != nil {
		return nil, err
	}
	if r.ending().Over(obj, old.Object) {
		return r.remove(ctx, old, obj, w.DryRun)
	}
	obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{}) // as old has none
	alike := keepTimes(obj, old.Object)
	data, err := r.encode(obj)
	if err != nil {
		return nil, told(err)
	}
	if w.DryRun {
		return unwritten(old.Key, obj), nil
	}
	if alike && r.same(old, data) { // not if only a quantity is written in another way
		return old, r.stillNewest(ctx, old)
	}
	return r.put(ctx, old.Key, obj, data, old.Revision)
}

// stillNewest is a conflict if the item is not what the store has.
func (r *Registry) stillNewest(ctx context.Context, item *cache.Item) error {
	record, err := r.Store.Get(ctx, item.Key)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return &storage.Conflict{}
	case err == nil && record.Revision != item.Revision:
		return &storage.Conflict{Current: &record}
	}
	return err
}

// prepareChanged makes of what a client sent what will be stored, or refuses it.
func (r *Registry) prepareChanged(ctx context.Context, obj, old resource.Object, w Write) error {
	if err := inNamespace(old.GetNamespace(), obj); err != nil {
		return err
	}
	strategy := &r.Row.Strategy
	if w.Subresource != nil {
		strategy = w.Subresource.Update
	}
	obj.SetGeneration(old.GetGeneration())
	r.fill(obj)
	if err := r.admit(ctx, resource.Update, obj, old, w); err != nil {
		return err
	}
	r.fill(obj)
	if strategy.PrepareForUpdate != nil {
		strategy.PrepareForUpdate(ctx, obj, old)
	}
	keep(obj, old)
	if next, counted := spec(obj); counted && old.GetGeneration() > 0 {
		if before, _ := spec(old); !equality.Semantic.DeepEqual(next, before) {
			obj.SetGeneration(old.GetGeneration() + 1)
		}
	}
	errs := apivalidation.ValidateObjectMetaAccessor(obj, r.Row.Namespaced, pathSegment, metadata)
	errs = append(errs, apivalidation.ValidateObjectMetaAccessorUpdate(obj, old, metadata)...)
	if strategy.ValidateUpdate != nil {
		errs = append(errs, strategy.ValidateUpdate(obj, old)...)
	}
	if len(errs) > 0 {
		return apierrors.NewInvalid(r.Row.GroupVersionKind.GroupKind(), obj.GetName(), distinct(errs))
	}
	r.warn(ctx, strategy.Warnings, obj, old)
	return nil
}

// distinct tells everything once: several who validate have looked at the metadata.
func distinct(errs field.ErrorList) (out field.ErrorList) {
	for _, e := range errs {
		if !slices.ContainsFunc(out, func(told *field.Error) bool { return told.Field == e.Field && told.Error() == e.Error() }) {
			out = append(out, e)
		}
	}
	return out
}

// keep takes from the old object what no client can change.
func keep(obj, old resource.Object) {
	if obj.GetUID() == "" {
		obj.SetUID(old.GetUID())
	}
	obj.SetResourceVersion(old.GetResourceVersion()) // it has been compared
	obj.SetCreationTimestamp(old.GetCreationTimestamp())
	if t := old.GetDeletionTimestamp(); t != nil {
		obj.SetDeletionTimestamp(t)
	}
	if s := old.GetDeletionGracePeriodSeconds(); s != nil && obj.GetDeletionGracePeriodSeconds() == nil {
		obj.SetDeletionGracePeriodSeconds(s)
	}
}

// keepTimes takes back the new times of managed fields if nothing else is new.
// Otherwise no write would ever change nothing. It reports whether obj means the same
// as old then.
func keepTimes(obj, old resource.Object) (alike bool) {
	before, now := old.GetManagedFields(), obj.GetManagedFields()
	if len(before) != len(now) {
		return false
	}
	for i := range now {
		a, b := before[i], now[i]
		a.Time, b.Time = nil, nil
		if !equality.Semantic.DeepEqual(a, b) {
			return false
		}
	}
	obj.SetManagedFields(before)
	if !equality.Semantic.DeepEqual(obj, old) {
		obj.SetManagedFields(now)
		return false
	}
	return true
}
