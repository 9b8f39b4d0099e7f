package emptying

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/registry"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// Of is the Objects of a server in this process, whose registries delete as for a
// client that says nothing more than DELETE.
func Of(objects resource.Server, registries func(schema.GroupResource) *registry.Registry) Objects {
	return local{objects, registries}
}

type local struct {
	resource.Server
	registries func(schema.GroupResource) *registry.Registry
}

func (l local) Delete(ctx context.Context, of schema.GroupResource, namespace, name string) error {
	r := l.registries(of)
	if r == nil {
		return apierrors.NewNotFound(of, name)
	}
	_, _, err := r.Delete(ctx, namespace, name, &metav1.DeleteOptions{})
	return err
}
