// Package review makes rows of resources that are asked and never stored: a
// client posts a question, and the answer is the same object with its status filled in.
package review

import (
	"context"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// A Question is a pointer to one of upstream's review types.
type Question[T any] interface {
	*T
	resource.Object
}

// Row is the row of a question. Answer may change the question that it is given and
// return it; the namespace is that of the request's path.
func Row[T any, P Question[T]](gv schema.GroupVersion, kind string, namespaced bool, answer func(ctx context.Context, namespace string, question P) (P, error)) resource.Resource {
	gvk, singular := gv.WithKind(kind), strings.ToLower(kind)
	return resource.Resource{
		GroupVersionKind: gvk,
		Name:             singular + "s",
		Singular:         singular,
		Namespaced:       namespaced,
		New:              func() resource.Object { return P(new(T)) },
		NewList:          func() runtime.Object { return &metav1.List{} },
		Without:          []string{"get", "list", "watch", "update", "patch", "delete", "deletecollection"},
		Subresources: []resource.Subresource{{
			GroupVersionKind: gvk,
			New:              func() runtime.Object { return P(new(T)) },
			Create: func(ctx context.Context, _ resource.Server, namespace, _ string, obj runtime.Object, _ bool) (runtime.Object, error) {
				answered, err := answer(ctx, namespace, obj.(P))
				if err != nil {
					return nil, err // no typed nil
				}
				return answered, nil
			},
		}},
	}
}
