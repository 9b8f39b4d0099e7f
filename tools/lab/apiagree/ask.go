package apiagree

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// mutant changes one to three things in a copy.
func (c *comparison) mutant(obj resource.Object) resource.Object {
	out := obj.DeepCopyObject().(resource.Object)
	for range 1 + c.pool.rand.IntN(3) {
		c.pool.change(reflect.ValueOf(out).Elem(), "")
	}
	return out
}

// printed is what kubectl asks for to print it.
const printed = "application/json;as=Table;v=v1;g=meta.k8s.io"

// create sends an object that is new, and at times asks for the answer that kubectl
// prints.
func (c *comparison) create(ctx context.Context, r seeded) error {
	obj := c.mutant(pick(c.pool.rand, r.seeds))
	obj.SetResourceVersion("") // upstream looks at it when it stores, and here nothing is stored
	body, err := json.Marshal(obj)
	if err != nil {
		return err
	}
	q := request{method: http.MethodPost, path: r.path(), body: body}
	if c.pool.rand.IntN(4) > 0 {
		return c.both(ctx, r, "create", q)
	}
	q.accept = printed
	return c.both(ctx, r, "create and print", q)
}

// changed returns an object that is there, and what is to become of it, both without
// what is another on each server.
func (c *comparison) changed(ctx context.Context, r seeded) (path string, base, next resource.Object, err error) {
	name := pick(c.pool.rand, r.there).GetName()
	path = r.path() + "/" + name
	a, err := c.servers[0].ask(ctx, request{method: http.MethodGet, path: path})
	if err != nil {
		return "", nil, nil, err
	}
	base = r.New()
	if err := json.Unmarshal(a.body, base); err != nil {
		return "", nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	base.SetUID("")
	base.SetResourceVersion("")
	base.SetCreationTimestamp(metav1.Time{})
	base.SetManagedFields(nil)
	next = c.mutant(base)
	next.SetName(name)
	return path, base, next, nil
}

// part is the object, or now and then its status if that is a path of its own.
func (c *comparison) part(r seeded, verb, path string) (string, string) {
	own := slices.ContainsFunc(r.Subresources, func(s resource.Subresource) bool { return s.Name == "status" && s.Update != nil })
	if own && c.pool.rand.IntN(4) == 0 {
		return verb + " of status", path + "/status"
	}
	return verb, path
}

func (c *comparison) update(ctx context.Context, r seeded) error {
	path, _, next, err := c.changed(ctx, r)
	if err != nil {
		return err
	}
	body, err := json.Marshal(next)
	if err != nil {
		return err
	}
	verb, path := c.part(r, "update", path)
	return c.both(ctx, r, verb, request{method: http.MethodPut, path: path, body: body})
}

func (c *comparison) patch(ctx context.Context, r seeded) error {
	path, base, next, err := c.changed(ctx, r)
	if err != nil {
		return err
	}
	made, err := c.pool.patch(r, base, next)
	if err != nil {
		return err
	}
	verb, path := c.part(r, made.name, path)
	return c.both(ctx, r, verb, request{method: http.MethodPatch, path: path + made.query, body: made.body, media: made.media})
}

func (c *comparison) delete(ctx context.Context, r seeded) error {
	var body []byte
	if o := c.pool.deleteOptions(); o != nil {
		var err error
		if body, err = json.Marshal(o); err != nil {
			return err
		}
	}
	if c.pool.rand.IntN(4) == 0 && !bytes.Contains(body, []byte("preconditions")) { // of which any one may be told about
		return c.both(ctx, r, "delete all", request{method: http.MethodDelete, path: r.path() + "?" + c.pool.selection(), body: body})
	}
	return c.both(ctx, r, "delete", request{method: http.MethodDelete, path: r.path() + "/" + pick(c.pool.rand, r.there).GetName(), body: body})
}

// list asks for some of the objects that are there, as they are or as they are printed.
func (c *comparison) list(ctx context.Context, r seeded) error {
	q := request{method: http.MethodGet, path: r.path() + "?" + c.pool.selection(), accept: pick(c.pool.rand, []string{"", printed})}
	return c.both(ctx, r, "list", q)
}
