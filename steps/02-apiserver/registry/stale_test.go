package registry

import (
	"context"
	"fmt"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage/memory"
)

// deaf is a store whose watch never tells of anything, so that the cache stays as
// it was: as old as a cache can be.
type deaf struct{ storage.Store }

func (deaf) Watch(ctx context.Context, _ string, _ int64, _ <-chan struct{}, _ func(storage.Batch) error) error {
	<-ctx.Done()
	return nil
}

func TestAnOldCacheLeadsToNoWrongAnswer(t *testing.T) {
	store := memory.New()
	fresh := run(t, store, row())
	for _, name := range []string{"changed", "deleted", "made again"} {
		if _, err := fresh.Create(t.Context(), "ns", configMap(name), Write{}); err != nil {
			t.Fatal(err)
		}
	}
	old := run(t, deaf{store}, row()) // has seen these three, and will see nothing else
	oldUID := old.Cache.Get("/registry/configmaps/ns/made again").Object.GetUID()
	if _, _, err := fresh.Update(t.Context(), "ns", "changed", Write{}, count); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"deleted", "made again"} {
		if _, _, err := fresh.Delete(t.Context(), "ns", name, &metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"made again", "new"} {
		if _, err := fresh.Create(t.Context(), "ns", configMap(name), Write{}); err != nil {
			t.Fatal(err)
		}
	}
	fail := func(resource.Object) (resource.Object, error) {
		return nil, apierrors.NewBadRequest("not this one")
	}
	for _, c := range []struct {
		name  string
		do    func(name string) error
		right func(error) bool
	}{
		{"changed", func(n string) error { _, _, err := old.Update(t.Context(), "ns", n, Write{}, count); return err }, isNil},
		{"changed", func(n string) error { _, _, err := old.Update(t.Context(), "ns", n, Write{}, fail); return err }, apierrors.IsBadRequest},
		{"new", func(n string) error { _, _, err := old.Update(t.Context(), "ns", n, Write{}, count); return err }, isNil},
		{"deleted", func(n string) error { _, _, err := old.Update(t.Context(), "ns", n, Write{}, count); return err }, apierrors.IsNotFound},
		{"deleted", func(n string) error { _, _, err := old.Update(t.Context(), "ns", n, Write{}, fail); return err }, apierrors.IsNotFound},
		{"deleted", func(n string) error {
			_, _, err := old.Delete(t.Context(), "ns", n, &metav1.DeleteOptions{})
			return err
		}, apierrors.IsNotFound},
		{"deleted", func(n string) error { _, err := old.Get(t.Context(), "ns", n, ""); return err }, apierrors.IsNotFound},
		{"made again", func(n string) error {
			_, _, err := old.Update(t.Context(), "ns", n, Write{UID: oldUID}, count)
			return err
		}, apierrors.IsConflict},
		{"made again", func(n string) error {
			_, _, err := old.Delete(t.Context(), "ns", n, &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &oldUID}})
			return err
		}, apierrors.IsConflict},
		{"changed", func(n string) error { _, err := old.Create(t.Context(), "ns", configMap(n), Write{}); return err }, apierrors.IsAlreadyExists},
	} {
		if err := c.do(c.name); !c.right(err) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	item, err := fresh.Get(t.Context(), "ns", "changed", "")
	if err != nil || item.Object.(*corev1.ConfigMap).Data["n"] != "2" {
		t.Errorf("got %v (%v), want both changes", item, err)
	}
}

func isNil(err error) bool { return err == nil }

func TestWhoComesSecondUpdates(t *testing.T) {
	store := memory.New()
	servers := []*Registry{run(t, store, row()), run(t, store, row())}
	createOrCount := func(old resource.Object) (resource.Object, error) {
		if old == nil {
			cm := configMap("a")
			cm.Data["n"] = "1"
			return cm, nil
		}
		return count(old)
	}
	const writers = 16
	var created sync.Map
	var wait sync.WaitGroup
	for w := range writers {
		wait.Go(func() {
			_, made, err := servers[w%2].Update(t.Context(), "ns", "a", Write{Create: true}, createOrCount)
			if err != nil {
				t.Errorf("writer %d: %v", w, err)
			}
			if made {
				created.Store(w, true)
			}
		})
	}
	wait.Wait()
	item, err := servers[0].Get(t.Context(), "ns", "a", "")
	if err != nil || item.Object.(*corev1.ConfigMap).Data["n"] != fmt.Sprint(writers) {
		t.Errorf("got %v (%v), want %d", item, err, writers)
	}
	n := 0
	created.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d writers were told that they had created the object", n)
	}
}
