package server

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/cache"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/registry"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// objects implements resource.Server. What it returns is a copy.
type objects struct{ server *Server }

var (
	_ resource.Server = objects{}
	_ resource.Memory = objects{}
)

func (o objects) registry(r schema.GroupResource) (*registry.Registry, error) {
	if reg := o.server.Registry(r); reg != nil {
		return reg, nil
	}
	return nil, apierrors.NewNotFound(r, "")
}

func (o objects) Get(ctx context.Context, r schema.GroupResource, namespace, name string) (resource.Object, error) {
	reg, err := o.registry(r)
	if err != nil {
		return nil, err
	}
	item, err := reg.Get(ctx, namespace, name, "")
	if err != nil {
		return nil, err
	}
	return item.Object.DeepCopyObject().(resource.Object), nil
}

func (o objects) List(ctx context.Context, r schema.GroupResource, namespace string) ([]resource.Object, error) {
	reg, err := o.registry(r)
	if err != nil {
		return nil, err
	}
	page, err := reg.List(ctx, namespace, &internalversion.ListOptions{})
	if err != nil {
		return nil, err
	}
	out := make([]resource.Object, len(page.Items))
	for i, item := range page.Items {
		out[i] = item.Object.DeepCopyObject().(resource.Object)
	}
	return out, nil
}

func (o objects) Recall(ctx context.Context, r schema.GroupResource, namespace, name string) (resource.Object, error) {
	reg, err := o.registry(r)
	if err != nil {
		return nil, err
	}
	item, err := reg.Recall(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	return item.Object.DeepCopyObject().(resource.Object), nil
}

func (o objects) RecallAll(ctx context.Context, r schema.GroupResource) ([]resource.Object, error) {
	reg, err := o.registry(r)
	if err != nil {
		return nil, err
	}
	var out []resource.Object
	err = reg.RecallAll(ctx, func(item *cache.Item) { out = append(out, item.Object.DeepCopyObject().(resource.Object)) })
	return out, err
}

func (o objects) Update(ctx context.Context, r schema.GroupResource, namespace, name string, change func(resource.Object) (changed bool, err error)) error {
	reg, err := o.registry(r)
	if err != nil {
		return err
	}
	// By itself, the server may change what no client can.
	return reg.Change(ctx, namespace, name, func(old resource.Object) (resource.Object, error) {
		next := old.DeepCopyObject().(resource.Object)
		if changed, err := change(next); err != nil || changed {
			return next, err
		}
		return old, nil
	})
}

func (o objects) Create(ctx context.Context, r schema.GroupResource, obj resource.Object) (resource.Object, error) {
	reg, err := o.registry(r)
	if err != nil {
		return nil, err
	}
	own := obj.DeepCopyObject().(resource.Object) // the caller may go on with his
	item, err := reg.Create(ctx, obj.GetNamespace(), own, registry.Write{})
	if err != nil {
		return nil, err
	}
	return item.Object.DeepCopyObject().(resource.Object), nil
}
