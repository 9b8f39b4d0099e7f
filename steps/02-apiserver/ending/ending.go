// Package ending decides how an object goes.
//
// Most go at once. One that has time left, such as a pod whose containers are to stop, or that
// something keeps, a finalizer, is only marked: it has a date from then on, which
// can come nearer and is never taken back. Whoever takes away the last that kept it
// makes it go. Nothing here touches a store or knows a kind of object: what
// is decided is a function of the object, its row's strategy, and the options of the delete.
//
// Upstream: k8s.io/apiserver/pkg/registry/rest/delete.go and
// pkg/registry/generic/registry/store.go.
package ending

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// A Rule is how the objects of a row end.
type Rule struct {
	resource.Strategy
	Now func() time.Time
}

// Next decides what a delete makes of an object: another object, or nothing any
// more (gone), or nothing new (neither), because its end is due earlier than what is asked for.
// Both say that an object that could have had time has none: it is to be seen so before it goes.
//
// See k8s.io/apiserver/pkg/registry/rest/delete.go, BeforeDelete.
func (r Rule) Next(old resource.Object, o *metav1.DeleteOptions) (next resource.Object, gone bool) {
	next = old.DeepCopyObject().(resource.Object)
	marked := old.GetDeletionTimestamp() != nil
	timed := r.GracePeriod != nil && !marked
	var grace int64
	if left := old.GetDeletionGracePeriodSeconds(); marked && left != nil && *left > 0 {
		if o.GracePeriodSeconds == nil || max(*o.GracePeriodSeconds, 0) >= *left {
			return nil, false
		}
		grace, timed = r.shorten(next, *left, *o.GracePeriodSeconds), true
	} else if !marked && r.GracePeriod != nil {
		grace = r.GracePeriod(old, o.GracePeriodSeconds)
	}
	if !marked {
		if !r.NoDependents {
			next.SetFinalizers(finalizersFor(o, old.GetFinalizers()))
		}
		date(next, r.Now().Add(time.Duration(grace)*time.Second))
	}
	if grace > 0 {
		next.SetDeletionGracePeriodSeconds(&grace)
		return next, false
	}
	kept := r.kept(next)
	if !kept && !timed {
		return nil, true
	}
	if r.Finalizers == nil {
		next.SetDeletionGracePeriodSeconds(new(int64))
	}
	if now := seconds(r.Now()); now.Before(next.GetDeletionTimestamp()) {
		next.SetDeletionTimestamp(&now)
	}
	if r.Default != nil {
		r.Default(next)
	}
	if equality.Semantic.DeepEqual(next, old) {
		return nil, false
	}
	return next, !kept
}

// shorten moves a date of deletion to an earlier one, though not into the past.
func (r Rule) shorten(obj resource.Object, left, asked int64) int64 {
	grace := asked
	if asked < 0 {
		grace = 1
	}
	at := obj.GetDeletionTimestamp().Add(time.Duration(grace-left) * time.Second)
	if now := r.Now(); at.Before(now) {
		at = now
		grace = min(grace, 1)
	}
	t := seconds(at)
	obj.SetDeletionTimestamp(&t)
	return grace
}

// seconds is a time as it will be read: an object that is kept more exactly than it is
// stored would differ from itself.
func seconds(t time.Time) metav1.Time { return metav1.NewTime(t).Rfc3339Copy() }

func date(obj resource.Object, at time.Time) {
	t := seconds(at)
	obj.SetDeletionTimestamp(&t)
	if obj.GetGeneration() > 0 {
		obj.SetGeneration(obj.GetGeneration() + 1)
	}
}

// kept says whether something still has to happen before the object may go.
func (r Rule) kept(obj resource.Object) bool {
	return len(obj.GetFinalizers()) > 0 || r.Finalizers != nil && len(r.Finalizers(obj)) > 0
}

// Over says whether an update takes away the last that kept the object.
func (r Rule) Over(obj, old resource.Object) bool {
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
