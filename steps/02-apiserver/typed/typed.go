// Package typed lets functions that are written for one kind of object stand in
// the table of resources, which has room for any kind.
//
// The server knows no kinds, so the functions of a row take objects of all; who
// writes a row knows exactly one, and wants to write for that. One(validation.Pod) is a
// func(resource.Object), and panics if it is given something else than a pod, which would be the
// server's mistake. With these a row stays a list of names:
//
//	New:     typed.New[corev1.Pod],
//	NewList: typed.List[corev1.PodList],
//	Strategy: resource.Strategy{
//		Default:  typed.Change(defaulting.Pod),
//		Validate: typed.One(validation.Pod),
package typed

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// New makes an empty object of a kind.
func New[T any, P interface {
	*T
	resource.Object
}]() resource.Object {
	return P(new(T))
}

// List makes an empty list, or anything else that is sent and is no object.
func List[T any, P interface {
	*T
	runtime.Object
}]() runtime.Object {
	return P(new(T))
}

// One is for functions that say something about an object: what is wrong, what is
// printed, what can be selected.
func One[P resource.Object, R any](f func(P) R) func(resource.Object) R {
	return func(o resource.Object) R { return f(o.(P)) }
}

// Two is for functions of an object and what it was before, which is nil if it is new.
func Two[P resource.Object, R any](f func(obj, old P) R) func(obj, old resource.Object) R {
	return func(obj, old resource.Object) R {
		before, _ := old.(P)
		return f(obj.(P), before)
	}
}

// Change is for functions that change an object, such as defaults.
func Change[P resource.Object](f func(P)) func(resource.Object) {
	return func(o resource.Object) { f(o.(P)) }
}

// OnCreate is for what prepares a new object.
func OnCreate[P resource.Object](f func(P)) func(context.Context, resource.Object) {
	return func(_ context.Context, o resource.Object) { f(o.(P)) }
}

// OnUpdate is for what prepares an object to take the place of an old one.
func OnUpdate[P resource.Object](f func(obj, old P)) func(context.Context, resource.Object, resource.Object) {
	return func(_ context.Context, obj, old resource.Object) { f(obj.(P), old.(P)) }
}

// Status is the subresource of that name, with a strategy of its own.
func Status(s resource.Strategy, notOwned ...[]any) resource.Subresource {
	return resource.Subresource{Name: "status", Update: &s, NotOwned: notOwned}
}
