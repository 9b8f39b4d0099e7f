// Package emptying ends namespaces: it deletes what is in them.
//
// A namespace that is deleted is only marked. Nothing new can be made in it from
// then on, which is the work of an admission, and so what is left can only become
// less. The loop here deletes it, looks again until nothing remains (a pod has
// half a minute to stop, and an object with a finalizer as long as it takes), and
// then takes its own name, "kubernetes", from the namespace's finalizers. That
// was the last that kept the namespace.
//
// This is a controller's work, and from step 04 on the controller manager does it.
// Until then the server runs the loop by itself; that both do it at once is no harm.
// Upstream: pkg/controller/namespace/deletion.
package emptying

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/workqueue"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

var namespaces = schema.GroupResource{Resource: "namespaces"}

// Objects is what an Emptier does to the objects of a server. Errors are Status
// errors, as a client would see them.
type Objects interface {
	// List returns all objects of a namespace.
	List(ctx context.Context, of schema.GroupResource, namespace string) ([]resource.Object, error)

	// Delete is a client's: the object may have time to stop, or be kept by a finalizer.
	Delete(ctx context.Context, of schema.GroupResource, namespace, name string) error

	// Update calls change with the newest object, possibly several times.
	Update(ctx context.Context, of schema.GroupResource, namespace, name string, change func(resource.Object) (changed bool, err error)) error
}

// A Follower tells of every object of a resource: first of those that there are,
// then of each that is made, changed or removed, until ctx is done.
type Follower interface {
	Follow(ctx context.Context, of schema.GroupResource, changed func(obj resource.Object, gone bool)) error
}

// An Emptier empties the namespaces of a server.
type Emptier struct {
	Objects Objects
	Follow  Follower
	Rows    []resource.Resource // what can be in a namespace, and other things
	Log     *slog.Logger

	// Again is how long it waits before it looks once more at what has not gone yet; 0 is a second.
	Again time.Duration
}

// settle is how long a namespace that was deleted is left alone. What was admitted
// before that may not be written yet, and another server may not have heard of it. Upstream's
// controller waits for five seconds, for caches that are as much behind.
const settle = 200 * time.Millisecond

// Run empties namespaces until ctx is done. One that does not get empty does not
// keep the others waiting.
func (e *Emptier) Run(ctx context.Context) error {
	queue := workqueue.NewTypedDelayingQueue[string]()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(ctx, queue.ShutDown)

	ended := make(chan error, 1)
	go func() {
		ended <- e.Follow.Follow(ctx, namespaces, func(obj resource.Object, gone bool) {
			if !gone && terminating(obj) {
				queue.AddAfter(obj.GetName(), settle)
			}
		})
		cancel()
	}()
	for {
		name, stop := queue.Get()
		if stop {
			return <-ended
		}
		left, err := e.empty(ctx, name)
		if err != nil && ctx.Err() == nil {
			e.Log.Warn("a namespace can't be emptied yet", "namespace", name, "error", err)
		}
		if left > 0 || err != nil {
			queue.AddAfter(name, cmp.Or(e.Again, time.Second))
		}
		queue.Done(name)
	}
}

// terminating says whether we have something to do for a namespace: to empty it, or only to
// delete it for the second time, if the server was killed when it had let go of it.
func terminating(obj resource.Object) bool {
	kept := obj.(*corev1.Namespace).Spec.Finalizers
	return obj.GetDeletionTimestamp() != nil && (len(kept) == 0 || slices.Contains(kept, corev1.FinalizerKubernetes))
}

// empty deletes what is in the namespace, and lets go of it when nothing is left.
// It returns how many objects take some time to go.
func (e *Emptier) empty(ctx context.Context, name string) (left int, err error) {
	for range 2 { // most go at once, which the second look sees
		if left, err = e.deleteEverything(ctx, name); left == 0 || err != nil {
			break
		}
	}
	if left > 0 || err != nil {
		return left, err
	}
	if err := e.letGo(ctx, name); err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("let go of the empty namespace: %w", err)
	}
	return 0, nil
}

// deleteEverything returns how many objects there were.
func (e *Emptier) deleteEverything(ctx context.Context, name string) (found int, err error) {
	var errs []error
	for i := range e.Rows {
		n, err := e.deleteAll(ctx, &e.Rows[i], name)
		found, errs = found+n, append(errs, err)
	}
	return found, errors.Join(errs...)
}

// letGo takes our name out, and deletes what nothing keeps any more. A second
// delete is needed, because a change that the server makes by itself removes nothing.
func (e *Emptier) letGo(ctx context.Context, name string) error {
	deleted := false
	err := e.Objects.Update(ctx, namespaces, "", name, func(obj resource.Object) (changed bool, err error) {
		deleted = obj.GetDeletionTimestamp() != nil
		return release(obj.(*corev1.Namespace)), nil
	})
	if err != nil || !deleted {
		return err
	}
	return e.Objects.Delete(ctx, namespaces, "", name)
}

// release takes out our name, if the namespace is still the one that was deleted.
func release(ns *corev1.Namespace) (changed bool) {
	i := slices.Index(ns.Spec.Finalizers, corev1.FinalizerKubernetes)
	if i < 0 || !terminating(ns) {
		return false
	}
	ns.Spec.Finalizers = slices.Delete(ns.Spec.Finalizers, i, i+1)
	return true
}

// holds says whether objects of a row are in namespaces by themselves: not in
// the view of another row, which will delete them.
func holds(r *resource.Resource) bool {
	return r.Namespaced && r.Prefix != "" && r.SameAs == schema.GroupResource{}
}

// deleteAll deletes the objects of one row, unless they are about to go already.
func (e *Emptier) deleteAll(ctx context.Context, r *resource.Resource, namespace string) (found int, err error) {
	if !holds(r) {
		return 0, nil
	}
	objects, err := e.Objects.List(ctx, r.GroupResource(), namespace)
	if err != nil {
		return 0, fmt.Errorf("list %s: %w", r.GroupResource(), err)
	}
	var errs []error
	for _, o := range objects {
		if o.GetDeletionTimestamp() != nil {
			continue
		}
		if err := e.Objects.Delete(ctx, r.GroupResource(), namespace, o.GetName()); err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("delete %s %q: %w", r.GroupResource(), o.GetName(), err))
		}
	}
	return len(objects), errors.Join(errs...)
}
