package rows

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// The functions of this file let one that is written for a kind stand where the
// table has room for any: one(validation.Pod) is a func(resource.Object).

// object makes an empty object of a kind: object[corev1.Pod].
func object[T any, P interface {
	*T
	resource.Object
}]() resource.Object {
	return P(new(T))
}

// list makes an empty list, or any other message: list[corev1.PodList].
func list[T any, P interface {
	*T
	runtime.Object
}]() runtime.Object {
	return P(new(T))
}

func one[P resource.Object, R any](f func(P) R) func(resource.Object) R {
	return func(o resource.Object) R { return f(o.(P)) }
}

// two takes functions of an object and its predecessor, which is nil if there is none.
func two[P resource.Object, R any](f func(obj, old P) R) func(obj, old resource.Object) R {
	return func(obj, old resource.Object) R {
		before, _ := old.(P)
		return f(obj.(P), before)
	}
}

// change takes functions that change an object, and return nothing.
func change[P resource.Object](f func(P)) func(resource.Object) {
	return func(o resource.Object) { f(o.(P)) }
}

func onCreate[P resource.Object](f func(P)) func(context.Context, resource.Object) {
	return func(_ context.Context, o resource.Object) { f(o.(P)) }
}

func onUpdate[P resource.Object](f func(obj, old P)) func(context.Context, resource.Object, resource.Object) {
	return func(_ context.Context, obj, old resource.Object) { f(obj.(P), old.(P)) }
}

// status is the subresource of that name.
func status(s resource.Strategy) resource.Subresource {
	return resource.Subresource{Name: "status", Update: &s}
}
