package server

import (
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
	"sigs.k8s.io/structured-merge-diff/v6/value"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// manager returns what keeps the record of who owns which field of the object, as
// seen through a subresource.
//
// See https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management.
func (s *Server) manager(e *endpoint, sub *resource.Subresource) (*managedfields.FieldManager, error) {
	name := ""
	if sub != nil {
		name = sub.Name
	}
	if m, ok := e.managers.Load(name); ok {
		return m.(*managedfields.FieldManager), nil
	}
	m, err := managedfields.NewDefaultFieldManager(s.converter(), runtime.UnsafeObjectConvertor(s.conf.Scheme), rowDefaulter{e},
		s.conf.Scheme, e.GroupVersionKind, e.GroupVersion(), name, e.reset(name))
	if err != nil {
		return nil, fmt.Errorf("manage the fields of %s: %w", e.GroupVersionKind, err)
	}
	e.managers.Store(name, m)
	return m, nil
}

// reset are the fields that nobody comes to own through a subresource, because
// it does not write them.
func (e *endpoint) reset(sub string) map[fieldpath.APIVersion]fieldpath.Filter {
	set, notOwned := fieldpath.NewSet(), e.NotOwned
	switch {
	case sub == "status":
		set.Insert(fieldpath.MakePathOrDie("spec"))
		notOwned = e.sub(sub).NotOwned
	case sub == "" && e.sub("status") != nil:
		set.Insert(fieldpath.MakePathOrDie("status"))
	}
	for _, f := range notOwned {
		set.Insert(fieldpath.MakePathOrDie(f...))
	}
	if set.Empty() {
		return nil
	}
	return fieldpath.NewExcludeFilterSetMap(map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(e.GroupVersion().String()): set,
	})
}

// rowDefaulter fills in what an applied object leaves out.
type rowDefaulter struct{ *endpoint }

func (d rowDefaulter) Default(obj runtime.Object) {
	if o, ok := obj.(resource.Object); ok && d.Resource.Default != nil {
		d.Resource.Default(o)
	}
}

// sub finds a subresource, nil if there is none of that name.
func (e *endpoint) sub(name string) *resource.Subresource {
	for i := range e.Subresources {
		if e.Subresources[i].Name == name {
			return &e.Subresources[i]
		}
	}
	return nil
}

// A trusting converter looks at an object of one of our Go types without checking it
// against its schema, which was made from that type. That is half of the work of finding who
// owns which field. What was applied is checked: it is a map, and anything may be in it.
type trusting struct {
	managedfields.TypeConverter
	types sync.Map // a *typed.TypedValue of each kind, for its schema
}

func (c *trusting) ObjectToTyped(obj runtime.Object, opts ...typed.ValidationOptions) (*typed.TypedValue, error) {
	if _, ok := obj.(runtime.Unstructured); ok || len(opts) == 0 { // an option allows what a check would refuse
		return c.TypeConverter.ObjectToTyped(obj, opts...)
	}
	kind := obj.GetObjectKind().GroupVersionKind()
	if known, ok := c.types.Load(kind); ok {
		like := known.(*typed.TypedValue)
		v, err := value.NewValueReflect(obj)
		if err != nil {
			return nil, err
		}
		return typed.AsTypedUnvalidated(v, like.Schema(), like.TypeRef()), nil
	}
	checked, err := c.TypeConverter.ObjectToTyped(obj, opts...)
	if err == nil {
		c.types.Store(kind, checked.Empty())
	}
	return checked, err
}

// Prepare reads the schemas that the managers need, so that the first write does
// not have to wait for it.
func (s *Server) Prepare() { s.converter() }
