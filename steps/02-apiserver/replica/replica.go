// Package replica keeps a copy of the objects that a watch shows, for a component
// that must go on when the API server is away.
//
// The copy is the last that was known. It does not shrink when the connection breaks, and it
// is brought up to date when there is a connection again, which is tried
// often: what was decided during an outage should not wait for it longer than for
// the outage. That is why this is no informer of client-go, which asks less and
// less often, up to every half a minute, and can't be told otherwise. Below, it is the same:
// client-go's reflector.
package replica

import (
	"context"
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// How often a server that does not answer is asked again. A node asks for some dozens of
// lists, each of which is one question in a second.
const (
	first = 100 * time.Millisecond
	most  = time.Second
)

// A Replica is a copy of some objects. Make it with [New].
type Replica struct {
	reflector *cache.Reflector
	store     *store
}

// Select makes of a client's two methods the list and watch of what a field selector
// selects, which is all if it is empty.
func Select[L runtime.Object](fields string, list func(context.Context, metav1.ListOptions) (L, error),
	follow func(context.Context, metav1.ListOptions) (watch.Interface, error)) *cache.ListWatch {
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = fields
			return list(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = fields
			return follow(ctx, o)
		},
	}
}

// New returns the replica of what lw lists, which are objects like example. Changed is
// called after what is new is there, and must not block. Trim may drop parts of an object before it is
// kept; nil keeps all.
func New(client kubernetes.Interface, lw *cache.ListWatch, example runtime.Object, trim func(runtime.Object), changed func()) *Replica {
	s := &store{Store: cache.NewStore(cache.MetaNamespaceKeyFunc), trim: trim, changed: changed, listed: make(chan struct{})}
	r := cache.NewReflectorWithOptions(cache.ToListWatcherWithWatchListSemantics(lw, client), example, s, cache.ReflectorOptions{
		Backoff: &wait.Backoff{Duration: first, Factor: 2, Jitter: 0.5, Cap: most, Steps: 10},
	})
	return &Replica{r, s}
}

// Run keeps the copy until ctx is done. It is called once.
func (r *Replica) Run(ctx context.Context) { r.reflector.RunWithContext(ctx) }

// Synced is closed when there has been an answer.
func (r *Replica) Synced() <-chan struct{} { return r.store.listed }

// HasSynced says whether there has been an answer, ever.
func (r *Replica) HasSynced() bool {
	select {
	case <-r.store.listed:
		return true
	default:
		return false
	}
}

// List returns the objects, which nobody may change, in any order.
func (r *Replica) List() []any { return r.store.List() }

// Get returns the object of a key, NAMESPACE/NAME, or nil.
func (r *Replica) Get(key string) any {
	object, _, _ := r.store.GetByKey(key) // a key is never bad
	return object
}

// A store is where the reflector writes.
type store struct {
	cache.Store
	trim    func(runtime.Object)
	changed func()
	once    sync.Once
	listed  chan struct{} // closed after the first list
}

func (s *store) Add(object any) error    { return s.write(s.Store.Add, object) }
func (s *store) Update(object any) error { return s.write(s.Store.Update, object) }

func (s *store) Delete(object any) error {
	defer s.changed()
	return s.Store.Delete(object)
}

func (s *store) Replace(objects []any, revision string) error {
	for _, object := range objects {
		s.cut(object)
	}
	before := versions(s.Store.List())
	if err := s.Store.Replace(objects, revision); err != nil {
		return err
	}
	s.once.Do(func() { close(s.listed) })
	if !maps.Equal(before, versions(objects)) {
		s.changed()
	}
	return nil
}

func versions(objects []any) map[string]string {
	v := make(map[string]string, len(objects))
	for _, object := range objects {
		if o, err := meta.Accessor(object); err == nil {
			v[o.GetNamespace()+"/"+o.GetName()] = string(o.GetUID()) + "/" + o.GetResourceVersion()
		}
	}
	return v
}

func (s *store) write(put func(any) error, object any) error {
	s.cut(object)
	defer s.changed()
	return put(object)
}

func (s *store) cut(object any) {
	if o, ok := object.(runtime.Object); ok && s.trim != nil {
		s.trim(o)
	}
}
