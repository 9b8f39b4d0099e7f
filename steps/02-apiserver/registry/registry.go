// Package registry reads and writes the objects of one row of the table.
//
// Every write is the same few steps: take the newest object that is known, make
// the next one from it, judge that, and write it on the condition that the
// store still has the first. If it has not, begin again with what it has. No lock
// is held anywhere, and any number of servers may do so at the same time: the
// store lets one win.
//
// Reads come from the cache, which is first brought up to date where the client
// asked for the newest state.
//
// Upstream's peer is k8s.io/apiserver/pkg/registry/generic/registry/store.go.
package registry

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/cache"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/wire"
)

// Root begins every key.
const Root = "/registry/"

// A Config is what a registry needs.
type Config struct {
	Row       resource.Resource
	StoredAs  *resource.Resource // the row that Row.SameAs names, if it does
	Store     storage.Store
	Admission []resource.Admission
	Server    resource.Server // what admission may ask
	Memory    resource.Memory // what it may ask for every write
	Log       *slog.Logger
	Now       func() time.Time // nil is time.Now
}

// A Registry holds the objects of one row.
type Registry struct {
	Config
	Cache  *cache.Cache // feeds on the store while somebody runs it
	prefix string
}

// New returns the registry of a row that stores its objects.
func New(conf Config) *Registry {
	if conf.Now == nil {
		conf.Now = time.Now
	}
	r := &Registry{Config: conf, prefix: Root + conf.Row.Prefix + "/"}
	r.Cache = cache.New(cache.Config{Store: conf.Store, Prefix: r.prefix, Decode: r.decode, Log: conf.Log, Now: conf.Now})
	return r
}

// key is the place of an object.
func (r *Registry) key(namespace, name string) string {
	return r.scope(namespace) + name
}

// scope is what the keys of a namespace begin with, or all keys if it is empty.
func (r *Registry) scope(namespace string) string {
	if namespace == "" || !r.Row.Namespaced {
		return r.prefix
	}
	return r.prefix + namespace + "/"
}

// decode makes an object of what is stored.
func (r *Registry) decode(record storage.Record) (resource.Object, error) {
	make, kind := r.Row.New, r.Row.GroupVersionKind
	if r.StoredAs != nil {
		make, kind = r.StoredAs.New, r.StoredAs.GroupVersionKind
	}
	obj := make()
	if err := wire.DecodeStored(record.Value, obj); err != nil {
		return nil, fmt.Errorf("decode %s as %s: %w", record.Key, kind, err)
	}
	if r.StoredAs != nil {
		var err error
		if obj, err = r.Row.From(obj); err != nil {
			return nil, fmt.Errorf("convert %s to %s: %w", record.Key, r.Row.GroupVersionKind, err)
		}
	}
	r.fill(obj)
	obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return obj, nil
}

func (r *Registry) fill(obj resource.Object) {
	if r.Row.Default != nil {
		r.Row.Default(obj)
	}
}

// encode is what is stored of an object.
func (r *Registry) encode(obj resource.Object) ([]byte, error) {
	if r.StoredAs == nil {
		return wire.EncodeStored(obj, r.Row.GroupVersionKind)
	}
	stored, err := r.Row.To(obj.DeepCopyObject().(resource.Object))
	if err != nil {
		return nil, err
	}
	return wire.EncodeStored(stored, r.StoredAs.GroupVersionKind)
}

// item makes an item of a record, from the cache if that has it already.
func (r *Registry) item(record storage.Record) (*cache.Item, error) {
	if known := r.Cache.Get(record.Key); known != nil && known.Revision == record.Revision {
		return known, nil
	}
	obj, err := r.decode(record)
	if err != nil {
		return nil, err
	}
	return cache.NewItem(record.Key, record.Revision, obj), nil
}

// read returns the newest item.
func (r *Registry) read(ctx context.Context, namespace, name string) (*cache.Item, error) {
	record, err := r.Store.Get(ctx, r.key(namespace, name))
	if err != nil {
		return nil, r.status(err, "get", name)
	}
	return r.item(record)
}

// Get returns an object: the newest, or, if the client named a resource version,
// one that is not older than that.
func (r *Registry) Get(ctx context.Context, namespace, name, resourceVersion string) (*cache.Item, error) {
	if resourceVersion == "" {
		return r.read(ctx, namespace, name)
	}
	revision, err := parseVersion(resourceVersion)
	if err != nil {
		return nil, err
	}
	if err := r.wait(ctx, revision); err != nil {
		return nil, err
	}
	item := r.Cache.Get(r.key(namespace, name))
	if item == nil {
		return nil, apierrors.NewNotFound(r.Row.GroupResource(), name)
	}
	return item, nil
}

// Recall returns an object as it is in memory, where all is that this server has
// written. The store is asked for one that is not there.
func (r *Registry) Recall(ctx context.Context, namespace, name string) (*cache.Item, error) {
	if err := r.wait(ctx, r.Cache.Written()); err != nil {
		return nil, err
	}
	if item := r.Cache.Get(r.key(namespace, name)); item != nil {
		return item, nil
	}
	return r.read(ctx, namespace, name)
}

// RecallAll visits all objects as they are in memory.
func (r *Registry) RecallAll(ctx context.Context, visit func(*cache.Item)) error {
	if err := r.wait(ctx, r.Cache.Written()); err != nil {
		return err
	}
	r.Cache.Snapshot().Ascend(r.prefix, func(item *cache.Item) bool { visit(item); return true })
	return nil
}

func parseVersion(v string) (int64, error) {
	if v == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(v, 10, 63)
	if err != nil {
		return 0, apierrors.NewBadRequest("invalid resource version: " + field.Invalid(field.NewPath("resourceVersion"), v, err.Error()).Error())
	}
	return int64(n), nil
}

// fieldsOf is what a field selector can ask for.
func (r *Registry) fieldsOf(obj resource.Object) fields.Set {
	set := fields.Set{}
	if r.Row.Fields != nil {
		set = r.Row.Fields(obj)
	}
	set["metadata.name"] = obj.GetName()
	if r.Row.Namespaced || r.Row.Fields == nil { // upstream's default, which knows no scope
		set["metadata.namespace"] = obj.GetNamespace()
	}
	return set
}

// same says whether writing would change nothing.
func (r *Registry) same(old *cache.Item, next []byte) bool {
	now, err := r.encode(old.Object.DeepCopyObject().(resource.Object))
	return err == nil && bytes.Equal(now, next)
}

// put writes obj, encoded as data, if the key is at the revision expected, and
// returns its item. It takes obj over.
func (r *Registry) put(ctx context.Context, key string, obj resource.Object, data []byte, expected int64) (*cache.Item, error) {
	obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	e := r.Cache.Expect(key, data, obj)
	revision, err := r.Store.Put(ctx, key, data, expected)
	if err != nil {
		r.Cache.Forget(e)
		return nil, err
	}
	return r.Cache.Done(e, revision), nil
}

// unwritten is the item of a dry run.
func unwritten(key string, obj resource.Object) *cache.Item {
	obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return &cache.Item{Key: key, Object: obj, Body: wire.Body{Object: obj}}
}
