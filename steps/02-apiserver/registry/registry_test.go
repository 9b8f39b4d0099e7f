package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage/memory"
)

func row() resource.Resource {
	return resource.Resource{
		GroupVersionKind: corev1.SchemeGroupVersion.WithKind("ConfigMap"), Name: "configmaps", Namespaced: true, Prefix: "configmaps",
		New:     func() resource.Object { return &corev1.ConfigMap{} },
		NewList: func() runtime.Object { return &corev1.ConfigMapList{} },
	}
}

// run starts a registry that ends with the test.
func run(t *testing.T, store storage.Store, row resource.Resource) *Registry {
	t.Helper()
	r := New(Config{Row: row, Store: store, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.Cache.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	if err := r.Cache.Wait(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	return r
}

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"n": "0"}}
}

// count adds one to a number in a config map.
func count(old resource.Object) (resource.Object, error) {
	next := old.(*corev1.ConfigMap).DeepCopy()
	n, err := strconv.Atoi(next.Data["n"])
	next.Data["n"] = strconv.Itoa(n + 1)
	next.ResourceVersion = "" // whatever it is by now
	return next, err
}

// Two servers on one store, many writers, and watchers from the beginning: what
// the crash tests do from outside.
func TestNoWriteIsLostAndNoEventMissed(t *testing.T) {
	store := memory.New()
	servers := []*Registry{run(t, store, row()), run(t, store, row())}
	made, err := servers[0].Create(t.Context(), "ns", configMap("a"), Write{})
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 8, 25
	var wait sync.WaitGroup
	for w := range writers {
		wait.Go(func() {
			for range each {
				if _, _, err := servers[w%2].Update(t.Context(), "ns", "a", Write{}, count); err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
			}
		})
	}
	for i, r := range servers {
		wait.Go(func() { follow(t, fmt.Sprint("server ", i), r, made.Object.GetResourceVersion(), writers*each) })
	}
	wait.Wait()
	item, err := servers[1].Get(t.Context(), "ns", "a", "")
	if got := item.Object.(*corev1.ConfigMap).Data["n"]; err != nil || got != fmt.Sprint(writers*each) {
		t.Errorf("got %s (%v), want %d: a writer has overwritten another's change", got, err, writers*each)
	}
}

// follow checks that a watch counts from 1 to n.
func follow(t *testing.T, who string, r *Registry, from string, n int) {
	if err := r.Cache.Fresh(t.Context()); err != nil {
		t.Error(err)
		return
	}
	w, err := r.Watch(t.Context(), "ns", &internalversion.ListOptions{ResourceVersion: from})
	if err != nil {
		t.Errorf("%s: %v", who, err)
		return
	}
	timeout := time.After(30 * time.Second)
	for want := 1; ; {
		events, _, more, err := w.Next()
		if err != nil {
			t.Errorf("%s: %v", who, err)
			return
		}
		for _, e := range events {
			if got := e.Item.Object.(*corev1.ConfigMap).Data["n"]; got != fmt.Sprint(want) || e.Type != watch.Modified {
				t.Errorf("%s: got %s %s, want MODIFIED %d", who, e.Type, got, want)
				return
			}
			want++
		}
		if want > n {
			return
		}
		select {
		case <-more:
		case <-timeout:
			t.Errorf("%s: %d has not come", who, want)
			return
		}
	}
}

// A client sends the kind, and its managed fields have the time of the request.
func TestAnUpdateThatChangesOnlyTimesIsNotWritten(t *testing.T) {
	r := run(t, memory.New(), row())
	obj := configMap("a")
	then := metav1.NewTime(time.Unix(1_000_000_000, 0))
	obj.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "m", Operation: metav1.ManagedFieldsOperationApply, Time: &then}})
	made, err := r.Create(t.Context(), "ns", obj, Write{})
	if err != nil {
		t.Fatal(err)
	}
	now, _, err := r.Update(t.Context(), "ns", "a", Write{}, func(old resource.Object) (resource.Object, error) {
		next := old.DeepCopyObject().(resource.Object)
		next.GetObjectKind().SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMap"))
		later := metav1.NewTime(then.Add(time.Hour))
		next.GetManagedFields()[0].Time = &later
		return next, nil
	})
	if err != nil || now.Revision != made.Revision {
		t.Errorf("got revision %d, %v; want that of its creation, %d", now.Revision, err, made.Revision)
	}
}

// Two who want to hold a lease must not both have written their names.
func TestAVersionMayBeNeeded(t *testing.T) {
	needed := row()
	needed.VersionOnUpdate = true
	r := run(t, memory.New(), needed)
	if _, err := r.Create(t.Context(), "ns", configMap("a"), Write{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Update(t.Context(), "ns", "a", Write{}, count); !apierrors.IsInvalid(err) {
		t.Errorf("an update without a version: got %v, want Invalid", err)
	}
	zero := func(old resource.Object) (resource.Object, error) {
		next, err := count(old)
		next.SetResourceVersion("0")
		return next, err
	}
	if _, _, err := r.Update(t.Context(), "ns", "a", Write{}, zero); !apierrors.IsInvalid(err) {
		t.Errorf("an update of version 0, which is any: got %v, want Invalid", err)
	}
	free := run(t, memory.New(), row())
	if _, err := free.Create(t.Context(), "ns", configMap("a"), Write{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := free.Update(t.Context(), "ns", "a", Write{}, zero); err != nil {
		t.Errorf("an update of version 0 where none is needed: %v", err)
	}
	seen := func(old resource.Object) (resource.Object, error) {
		next, err := count(old)
		next.SetResourceVersion(old.GetResourceVersion())
		return next, err
	}
	if _, _, err := r.Update(t.Context(), "ns", "a", Write{}, seen); err != nil {
		t.Errorf("an update of what was seen: %v", err)
	}
}

func TestAChangeOfNothingIsNotWritten(t *testing.T) {
	r := run(t, memory.New(), row())
	made, err := r.Create(t.Context(), "ns", configMap("a"), Write{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Change(t.Context(), "ns", "a", func(old resource.Object) (resource.Object, error) { return old, nil }); err != nil {
		t.Fatal(err)
	}
	if now, err := r.Get(t.Context(), "ns", "a", ""); err != nil || now.Revision != made.Revision {
		t.Errorf("got revision %d, %v; want that of its creation, %d", now.Revision, err, made.Revision)
	}
}

func TestAWatchTellsWhatItsSelectionSees(t *testing.T) {
	r := run(t, memory.New(), row())
	o := &internalversion.ListOptions{ResourceVersion: strconv.FormatInt(r.Cache.Revision(), 10)}
	if err := internalversion.Convert_v1_ListOptions_To_internalversion_ListOptions(&metav1.ListOptions{LabelSelector: "in=yes", ResourceVersion: o.ResourceVersion}, o, nil); err != nil {
		t.Fatal(err)
	}
	w, err := r.Watch(t.Context(), "ns", o)
	if err != nil {
		t.Fatal(err)
	}
	label := func(value string) Change {
		return func(old resource.Object) (resource.Object, error) {
			next := old.DeepCopyObject().(resource.Object)
			next.SetLabels(map[string]string{"in": value})
			return next, nil
		}
	}
	if _, err := r.Create(t.Context(), "ns", configMap("a"), Write{}); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"yes", "no", "yes", "yes"} { // the last changes nothing
		if _, _, err := r.Update(t.Context(), "ns", "a", Write{}, label(value)); err != nil {
			t.Fatal(err)
		}
	}
	last, _, err := r.Delete(t.Context(), "ns", "a", &metav1.DeleteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Cache.Fresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	events, _, _, err := w.Next()
	var got []watch.EventType
	versions := map[string]bool{}
	for _, e := range events {
		got = append(got, e.Type)
		versions[e.Item.Object.GetResourceVersion()] = true
	}
	if want := "[ADDED DELETED ADDED DELETED]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("got %v (%v), want %s", got, err, want)
	}
	if len(versions) != len(got) || !versions[last.Object.GetResourceVersion()] {
		t.Errorf("got the resource versions %v, want one for each event, of the deletion %s", versions, last.Object.GetResourceVersion())
	}
}

func TestOldVersionsAreGone(t *testing.T) {
	store := memory.New()
	r := run(t, store, row())
	for i := range 5 {
		if _, err := r.Create(t.Context(), "ns", configMap(fmt.Sprint(i)), Write{}); err != nil {
			t.Fatal(err)
		}
	}
	page, err := r.List(t.Context(), "ns", &internalversion.ListOptions{Limit: 2})
	if err != nil || page.Continue == "" {
		t.Fatalf("got %+v (%v), want a page", page, err)
	}
	if _, err := store.Put(t.Context(), "/registry/other", nil, 0); err != nil {
		t.Fatal(err)
	}
	now, _ := store.Revision(t.Context())
	if err := store.Compact(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	_, err = r.List(t.Context(), "ns", &internalversion.ListOptions{Limit: 2, Continue: page.Continue})
	var status apierrors.APIStatus
	if !apierrors.IsResourceExpired(err) || !errors.As(err, &status) || status.Status().Continue == "" {
		t.Fatalf("next page after a compaction: got %v, want 410 Expired with another token", err)
	}
	rest, err := r.List(t.Context(), "ns", &internalversion.ListOptions{Limit: 5, Continue: status.Status().Continue})
	if err != nil || len(rest.Items) != 3 {
		t.Errorf("with the other token: got %+v (%v), want the 3 that are left", rest, err)
	}
	_, err = r.List(t.Context(), "ns", &internalversion.ListOptions{ResourceVersion: "2", ResourceVersionMatch: metav1.ResourceVersionMatchExact})
	if !apierrors.IsResourceExpired(err) {
		t.Errorf("list of an old version: got %v, want 410 Expired", err)
	}
	_, err = r.List(t.Context(), "ns", &internalversion.ListOptions{ResourceVersion: "1000", ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan})
	if _, ok := apierrors.StatusCause(err, metav1.CauseTypeResourceVersionTooLarge); !ok {
		t.Errorf("list of the future: got %v, want the cause ResourceVersionTooLarge", err)
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	store := memory.New()
	r := run(t, store, row())
	dry := Write{DryRun: true}
	if _, err := r.Create(t.Context(), "ns", configMap("a"), dry); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Create(t.Context(), "ns", configMap("b"), Write{}); err != nil {
		t.Fatal(err)
	}
	before, _ := store.Revision(t.Context())
	if _, err := r.Create(t.Context(), "ns", configMap("b"), dry); !apierrors.IsAlreadyExists(err) {
		t.Errorf("dry create of what is there: got %v, want AlreadyExists", err)
	}
	item, _, err := r.Update(t.Context(), "ns", "b", dry, count)
	if err != nil || item.Object.(*corev1.ConfigMap).Data["n"] != "1" {
		t.Errorf("dry update: got %v (%v)", item, err)
	}
	if _, _, err := r.Delete(t.Context(), "ns", "b", &metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Errorf("dry delete: %v", err)
	}
	if after, _ := store.Revision(t.Context()); after != before {
		t.Errorf("the store went from %d to %d", before, after)
	}
}

func TestEventsExpire(t *testing.T) {
	store := memory.New()
	r := run(t, store, row())
	for _, name := range []string{"old", "young", "of-tomorrow"} {
		r.Now = time.Now
		if name == "of-tomorrow" { // as its writer says, who has sent it long ago
			r.Now = func() time.Time { return time.Now().Add(-2 * time.Hour) }
		}
		if _, err := r.Create(t.Context(), "ns", configMap(name), Write{}); err != nil {
			t.Fatal(err)
		}
	}
	r.Now = time.Now
	if err := r.Cache.Fresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	tick, done := make(chan time.Time), make(chan struct{})
	written := func(obj resource.Object) time.Time {
		switch obj.GetName() {
		case "old":
			return time.Now().Add(-2 * time.Hour)
		case "of-tomorrow":
			return time.Now().Add(24 * time.Hour)
		}
		return time.Now()
	}
	go func() { defer close(done); r.Expire(ctx, tick, written, time.Hour) }()
	tick <- time.Now()
	tick <- time.Now() // the first round is over
	cancel()
	<-done
	page, err := r.List(t.Context(), "ns", &internalversion.ListOptions{})
	if err != nil || len(page.Items) != 1 || page.Items[0].Object.GetName() != "young" {
		t.Errorf("got %+v (%v), want the young one", page, err)
	}
}

func FuzzToken(f *testing.F) {
	f.Add(token{Revision: 5, Start: "ns/a\x00"}.String())
	f.Add("e30")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseToken(s)
		if err != nil {
			return
		}
		if again, err := parseToken(got.String()); err != nil || again != got {
			t.Errorf("got %+v and then %+v (%v)", got, again, err)
		}
	})
}

// An eager store is one in which a kubelet removes what is to end before anybody else does.
type eager struct{ storage.Store }

func (s eager) Delete(ctx context.Context, key string, expected int64) (int64, error) {
	if _, err := s.Store.Delete(ctx, key, expected); err != nil {
		return 0, err
	}
	return s.Store.Delete(ctx, key, expected)
}

func TestAForcedEndThatAKubeletWasQuickerWith(t *testing.T) {
	timed := row()
	timed.GracePeriod = func(_ resource.Object, asked *int64) int64 { return *asked }
	r := run(t, eager{memory.New()}, timed)
	if _, err := r.Create(t.Context(), "ns", configMap("a"), Write{}); err != nil {
		t.Fatal(err)
	}
	item, gone, err := r.Delete(t.Context(), "ns", "a", &metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
	if err != nil || !gone || item.Object.GetDeletionTimestamp() == nil {
		t.Errorf("got %+v, gone %v, %v, want that it is gone", item, gone, err)
	}
}
