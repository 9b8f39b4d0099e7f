package lease

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"
)

func newRenewer(client *fake.Clientset, uid types.UID) *Renewer {
	return &Renewer{Leases: client.CoordinationV1(), NodeName: "node-1", NodeUID: func() types.UID { return uid },
		Duration: 40 * time.Second, Log: slog.New(slog.DiscardHandler)}
}

func get(t *testing.T, client *fake.Clientset) *coordinationv1.Lease {
	t.Helper()
	l, err := client.CoordinationV1().Leases("kube-node-lease").Get(t.Context(), "node-1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestRenew(t *testing.T) {
	client := fake.NewClientset()
	r := newRenewer(client, "")
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	if err := r.renew(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	l := get(t, client)
	if *l.Spec.HolderIdentity != "node-1" || *l.Spec.LeaseDurationSeconds != 40 || !l.Spec.RenewTime.Time.Equal(now) || len(l.OwnerReferences) != 0 {
		t.Errorf("got %+v", l)
	}
	r.NodeUID = func() types.UID { return "uid" }
	if err := r.renew(t.Context(), now.Add(10*time.Second)); err != nil {
		t.Fatal(err)
	}
	if l = get(t, client); len(l.OwnerReferences) != 1 || l.OwnerReferences[0].UID != "uid" || !l.Spec.RenewTime.Time.Equal(now.Add(10*time.Second)) {
		t.Errorf("got %+v, want it renewed, and owned by the node", l)
	}
	if err := client.CoordinationV1().Leases("kube-node-lease").Delete(t.Context(), "node-1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := r.renew(t.Context(), now); err != nil {
		t.Errorf("after the lease was deleted: %v", err)
	}
	get(t, client)
}

func TestRunRenewsEveryTenSecondsAndTriesAgainSooner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		var at []time.Duration
		var away atomic.Bool
		began := time.Now()
		client.PrependReactor("*", "leases", func(a kubetesting.Action) (bool, runtime.Object, error) {
			if away.Load() {
				at = append(at, time.Since(began))
				return true, nil, errors.New("connection refused")
			}
			if a.GetVerb() != "get" {
				at = append(at, time.Since(began))
			}
			return false, nil, nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- newRenewer(client, "uid").Run(ctx) }()
		time.Sleep(25 * time.Second)
		away.Store(true)
		time.Sleep(6 * time.Second) // at 30 it fails, and again 0.4 s later; 0.8 s after that it works
		away.Store(false)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		want := []time.Duration{0, 10 * time.Second, 20 * time.Second, 30 * time.Second, 30400 * time.Millisecond, 31200 * time.Millisecond}
		for i := range want {
			if i >= len(at) || at[i].Round(100*time.Millisecond) != want[i] {
				t.Fatalf("got writes at %v, want %v", at, want)
			}
		}
	})
}
