package server

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/registry"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/rows"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage/memory"
)

// TestAFollowerForgetsWhatWentWhileItLookedAway: a watch ends, an object goes, and
// the next watch does not tell of it.
func TestAFollowerForgetsWhatWentWhileItLookedAway(t *testing.T) {
	ctx := t.Context()
	reg := registry.New(registry.Config{Row: rows.ConfigMaps(), Store: memory.New(), Log: slog.New(slog.DiscardHandler)})
	go reg.Cache.Run(ctx)
	make := func(name string) {
		t.Helper()
		if _, err := reg.Create(ctx, "default", &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, registry.Write{}); err != nil {
			t.Fatal(err)
		}
	}
	var told []string
	f := follower{known: map[string]resource.Object{}, changed: func(obj resource.Object, gone bool) {
		told = append(told, map[bool]string{false: "+", true: "-"}[gone]+obj.GetName())
	}}
	look := func(want ...string) {
		t.Helper()
		told = nil
		w, err := reg.Watch(ctx, "", &internalversion.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		once, cancel := context.WithCancel(ctx)
		cancel() // it tells of what there is, and looks away
		f.follow(once, w)
		slices.Sort(told)
		if !slices.Equal(told, want) {
			t.Errorf("told of %s, want %s", strings.Join(told, " "), strings.Join(want, " "))
		}
	}
	make("a")
	make("b")
	look("+a", "+b")
	if _, _, err := reg.Delete(ctx, "default", "a", &metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	make("c")
	look("+b", "+c", "-a")
	look("+b", "+c")
}
