// Package apiobject keeps the configMaps and secrets that this node's pods refer to.
//
// A node may read what its pods need and nothing else, so it can't watch all
// secrets: each object has a watch of its own, as long as a pod refers to it. What
// was read stays while the API server is away, so that a container that is
// restarted then finds its configuration; and a change is known at once, so that it
// can be brought to the volumes.
//
// Upstream: pkg/kubelet/util/manager/watch_based_manager.go.
package apiobject

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/replica"
)

// A Cache has the objects that the pods refer to which it was given by
// [Cache.SetPods]. Others it asks the API server for. Make it with [New].
type Cache struct {
	client  kubernetes.Interface
	changed func(types.UID)
	dirty   chan struct{}

	mu      sync.Mutex // guards the fields below
	wanted  map[Ref][]types.UID
	watches map[Ref]*watch
}

var _ criconfig.Objects = (*Cache)(nil)

// A watch keeps one object.
type watch struct {
	replica *replica.Replica
	stop    context.CancelFunc
}

// patience is how long somebody who needs an object waits for the first answer.
const patience = 2 * time.Second

// New returns a cache. Changed is told of every pod that refers to an object that
// has come, changed or gone; it must not block.
func New(client kubernetes.Interface, changed func(types.UID)) *Cache {
	return &Cache{client: client, changed: changed, dirty: make(chan struct{}, 1), watches: map[Ref]*watch{}}
}

// SetPods says which pods there are: the complete set.
func (c *Cache) SetPods(pods []*corev1.Pod) {
	wanted := map[Ref][]types.UID{}
	for _, pod := range pods {
		if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		for _, ref := range Refs(pod) {
			wanted[ref] = append(wanted[ref], pod.UID)
		}
	}
	c.mu.Lock()
	c.wanted = wanted
	c.mu.Unlock()
	select {
	case c.dirty <- struct{}{}:
	default:
	}
}

// Run watches until ctx is done.
func (c *Cache) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.dirty:
		}
		for _, start := range c.follow(ctx) {
			running.Go(start)
		}
	}
}

// follow ends the watches that nobody wants any more and returns new ones to run.
func (c *Cache) follow(ctx context.Context) (started []func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ref, w := range c.watches {
		if c.wanted[ref] == nil {
			w.stop()
			delete(c.watches, ref)
		}
	}
	for ref := range c.wanted {
		if c.watches[ref] != nil {
			continue
		}
		r := c.replica(ref)
		ctx, stop := context.WithCancel(ctx)
		c.watches[ref] = &watch{r, stop}
		started = append(started, func() { r.Run(ctx) })
	}
	return started
}

// replica is of the one object that ref names.
func (c *Cache) replica(ref Ref) *replica.Replica {
	only := fields.OneTermEqualSelector(metav1.ObjectNameField, ref.Name).String()
	tell := func() { c.tell(ref) }
	if ref.Kind == Secret {
		api := c.client.CoreV1().Secrets(ref.Namespace)
		return replica.New(c.client, replica.Select(only, api.List, api.Watch), &corev1.Secret{}, nil, tell)
	}
	api := c.client.CoreV1().ConfigMaps(ref.Namespace)
	return replica.New(c.client, replica.Select(only, api.List, api.Watch), &corev1.ConfigMap{}, nil, tell)
}

func (c *Cache) tell(ref Ref) {
	c.mu.Lock()
	pods := slices.Clone(c.wanted[ref])
	c.mu.Unlock()
	for _, uid := range pods {
		c.changed(uid)
	}
}

// ConfigMap implements [criconfig.Objects]. The object belongs to the cache.
func (c *Cache) ConfigMap(namespace, name string) (*corev1.ConfigMap, error) {
	return get(c, Ref{ConfigMap, namespace, name}, c.client.CoreV1().ConfigMaps(namespace).Get)
}

// Secret implements [criconfig.Objects]. The object belongs to the cache.
func (c *Cache) Secret(namespace, name string) (*corev1.Secret, error) {
	return get(c, Ref{Secret, namespace, name}, c.client.CoreV1().Secrets(namespace).Get)
}

// get returns an object, or nil if there is none.
func get[T any](c *Cache, ref Ref, ask func(context.Context, string, metav1.GetOptions) (*T, error)) (*T, error) {
	c.mu.Lock()
	w := c.watches[ref]
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if w == nil {
		object, err := ask(ctx, ref.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return object, err
	}
	if !cache.WaitForCacheSync(ctx.Done(), w.replica.HasSynced) {
		return nil, fmt.Errorf("failed to sync %s cache: timed out waiting for the condition", ref.Kind) // upstream's words
	}
	object := w.replica.Get(ref.Namespace + "/" + ref.Name)
	if object == nil {
		return nil, nil
	}
	typed, ok := any(object).(*T)
	if !ok {
		return nil, fmt.Errorf("%s: got %T", ref, object)
	}
	return typed, nil
}
