// Package fakeserver is a resource.Server of a map, for the tests of packages
// that need a few objects and no API server.
package fakeserver

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

var (
	_ resource.Server = (*Server)(nil)
	_ resource.Memory = (*Server)(nil)
)

// A Server holds objects. The zero value is empty and ready.
type Server struct {
	mu      sync.Mutex // guards the fields below
	objects map[string]resource.Object
	made    int

	// Err is what every call returns, if it is set before the first.
	Err error
}

// Add puts objects of a resource in, in place of those of the same name.
func (s *Server) Add(gr schema.GroupResource, objects ...resource.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range objects {
		s.put(gr, o)
	}
}

// Remove takes an object out.
func (s *Server) Remove(gr schema.GroupResource, namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, key(gr, namespace, name))
}

func (s *Server) put(gr schema.GroupResource, o resource.Object) {
	if s.objects == nil {
		s.objects = map[string]resource.Object{}
	}
	s.made++
	o.SetResourceVersion(fmt.Sprint(s.made))
	s.objects[key(gr, o.GetNamespace(), o.GetName())] = clone(o)
}

// Get implements resource.Server.
func (s *Server) Get(_ context.Context, gr schema.GroupResource, namespace, name string) (resource.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Err != nil {
		return nil, s.Err
	}
	o, ok := s.objects[key(gr, namespace, name)]
	if !ok {
		return nil, apierrors.NewNotFound(gr, name)
	}
	return clone(o), nil
}

// List implements resource.Server, in the order of names.
func (s *Server) List(_ context.Context, gr schema.GroupResource, namespace string) ([]resource.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Err != nil {
		return nil, s.Err
	}
	prefix := key(gr, namespace, "")
	if namespace == "" {
		prefix = gr.String() + "/"
	}
	var keys []string
	for k := range s.objects {
		if strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	var all []resource.Object
	for _, k := range keys {
		all = append(all, clone(s.objects[k]))
	}
	return all, nil
}

// Recall implements resource.Memory.
func (s *Server) Recall(ctx context.Context, gr schema.GroupResource, namespace, name string) (resource.Object, error) {
	return s.Get(ctx, gr, namespace, name)
}

// RecallAll implements resource.Memory.
func (s *Server) RecallAll(ctx context.Context, gr schema.GroupResource) ([]resource.Object, error) {
	return s.List(ctx, gr, "")
}

// Update implements resource.Server.
func (s *Server) Update(_ context.Context, gr schema.GroupResource, namespace, name string, change func(resource.Object) (changed bool, err error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[key(gr, namespace, name)]
	if s.Err != nil || !ok {
		return cmp.Or(s.Err, error(apierrors.NewNotFound(gr, name)))
	}
	o = clone(o)
	changed, err := change(o)
	if err == nil && changed {
		s.put(gr, o)
	}
	return err
}

// Create implements resource.Server. UIDs are uid-1, uid-2 and so on.
func (s *Server) Create(_ context.Context, gr schema.GroupResource, obj resource.Object) (resource.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Err != nil {
		return nil, s.Err
	}
	if _, ok := s.objects[key(gr, obj.GetNamespace(), obj.GetName())]; ok {
		return nil, apierrors.NewAlreadyExists(gr, obj.GetName())
	}
	o := clone(obj)
	o.SetUID(types.UID(fmt.Sprintf("uid-%d", s.made+1)))
	s.put(gr, o)
	return clone(o), nil
}

func key(gr schema.GroupResource, namespace, name string) string {
	return gr.String() + "/" + namespace + "/" + name
}

func clone(o resource.Object) resource.Object { return o.DeepCopyObject().(resource.Object) }
