package emptying

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/rows"
)

// A store is a small server: objects by resource and name.
type store struct {
	mu      sync.Mutex // guards the fields below
	objects map[schema.GroupResource]map[string]resource.Object
	slow    int                          // so many deletes only mark a pod
	refuse  map[schema.GroupResource]int // so many deletes fail
}

func newStore(objects map[schema.GroupResource][]resource.Object) *store {
	s := &store{objects: map[schema.GroupResource]map[string]resource.Object{}, refuse: map[schema.GroupResource]int{}}
	for of, list := range objects {
		s.objects[of] = map[string]resource.Object{}
		for _, o := range list {
			s.objects[of][o.GetNamespace()+"/"+o.GetName()] = o
		}
	}
	return s
}

func (s *store) List(_ context.Context, of schema.GroupResource, namespace string) (list []resource.Object, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.objects[of] {
		if o.GetNamespace() == namespace {
			list = append(list, o.DeepCopyObject().(resource.Object))
		}
	}
	return list, nil
}

func (s *store) Delete(_ context.Context, of schema.GroupResource, namespace, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := namespace + "/" + name
	o, ok := s.objects[of][key]
	if !ok {
		return apierrors.NewNotFound(of, name)
	}
	if s.refuse[of] > 0 {
		s.refuse[of]--
		return errors.New("not now")
	}
	if pod, is := o.(*corev1.Pod); is && s.slow > 0 {
		s.slow--
		now := metav1.Now()
		pod.DeletionTimestamp = &now
		time.AfterFunc(5*time.Millisecond, func() { s.drop(of, key) }) // the kubelet
		return nil
	}
	if ns, is := o.(*corev1.Namespace); is && len(ns.Spec.Finalizers) > 0 {
		return nil
	}
	delete(s.objects[of], key)
	return nil
}

func (s *store) drop(of schema.GroupResource, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects[of], key)
}

func (s *store) Update(_ context.Context, of schema.GroupResource, namespace, name string, change func(resource.Object) (bool, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[of][namespace+"/"+name]
	if !ok {
		return apierrors.NewNotFound(of, name)
	}
	_, err := change(o)
	return err
}

func (s *store) Follow(ctx context.Context, of schema.GroupResource, changed func(resource.Object, bool)) error {
	list, _ := s.List(ctx, of, "")
	for _, o := range list {
		changed(o, false)
	}
	<-ctx.Done()
	return nil
}

func (s *store) has(of schema.GroupResource) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.objects[of])
}

func namespace(name string, deleted bool, finalizers ...corev1.FinalizerName) *corev1.Namespace {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NamespaceSpec{Finalizers: finalizers}}
	if deleted {
		now := metav1.Now()
		ns.DeletionTimestamp = &now
	}
	return ns
}

func meta(name, namespace string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: namespace}
}

var (
	pods    = schema.GroupResource{Resource: "pods"}
	configs = schema.GroupResource{Resource: "configmaps"}
)

// run empties until done says so.
func run(t *testing.T, s *store, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	ended := make(chan error)
	e := &Emptier{Objects: s, Follow: s, Rows: rows.All(), Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Again: time.Millisecond}
	go func() { ended <- e.Run(ctx) }()
	for !done() {
		select {
		case <-ctx.Done():
			t.Error("it is not done within 10s")
		case <-time.After(time.Millisecond):
			continue
		}
		break
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestDeletedNamespacesEndAndOthersStay(t *testing.T) {
	s := newStore(map[schema.GroupResource][]resource.Object{
		namespaces: {namespace("old", true, "kubernetes"), namespace("empty", true, "kubernetes"), namespace("other", false, "kubernetes")},
		pods:       {&corev1.Pod{ObjectMeta: meta("a", "old")}, &corev1.Pod{ObjectMeta: meta("a", "other")}},
		configs:    {&corev1.ConfigMap{ObjectMeta: meta("a", "old")}, &corev1.ConfigMap{ObjectMeta: meta("b", "old")}},
	})
	s.slow, s.refuse[configs] = 1, 2
	run(t, s, func() bool { return s.has(namespaces) == 1 })
	if s.objects[namespaces]["/other"] == nil || s.has(pods) != 1 || s.has(configs) != 0 {
		t.Errorf("got %v, want the namespace other and its pod", s.objects)
	}
}

// A server that was killed between its two last steps has left a namespace that nothing
// keeps, and that nobody else would end.
func TestAHalfEndedNamespaceEnds(t *testing.T) {
	s := newStore(map[schema.GroupResource][]resource.Object{namespaces: {namespace("half", true)}})
	run(t, s, func() bool { return s.has(namespaces) == 0 })
}

func TestOthersMayKeepANamespace(t *testing.T) {
	s := newStore(map[schema.GroupResource][]resource.Object{namespaces: {namespace("old", true, "kubernetes", "example.com/backup")}})
	finalizers := func() []corev1.FinalizerName {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.objects[namespaces]["/old"].(*corev1.Namespace).Spec.Finalizers
	}
	run(t, s, func() bool { return slices.Equal(finalizers(), []corev1.FinalizerName{"example.com/backup"}) })
}

func TestOnlyWhatIsInNamespacesIsLookedAt(t *testing.T) {
	for _, r := range rows.All() {
		want := r.Namespaced && r.Name != "bindings" && r.Group != "events.k8s.io"
		if got := holds(&r); got != want {
			t.Errorf("%s: got %v, want %v", r.GroupResource(), got, want)
		}
	}
}
