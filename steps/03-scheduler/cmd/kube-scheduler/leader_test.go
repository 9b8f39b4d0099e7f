package main

import (
	"encoding/json"
	"errors"
	"os"
	"sync"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// A leader that is killed is followed by the next, which finds everything as it is.
func TestLeaderFailover(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as a lease")
	}
	c := newCluster(t)
	c.node("one", "4")
	quick := []string{"--leader-elect-lease-duration=3s", "--leader-elect-renew-deadline=2s", "--leader-elect-retry-period=500ms"}
	first := c.process(quick...)
	c.pod("a", "1")
	c.onNode("a", "one")
	holder := c.holder()
	c.process(quick...)
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.pod("b", "1")
	c.onNode("b", "one")
	if got := c.holder(); got == holder {
		t.Errorf("the lease is still held by %s", got)
	}
}

func (c *cluster) holder() string {
	c.t.Helper()
	l, err := c.client.CoordinationV1().Leases("kube-system").Get(c.t.Context(), "kube-scheduler", metav1.GetOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	return *l.Spec.HolderIdentity
}

// lease makes somebody the leader, for a minute; "" is nobody.
func (c *cluster) lease(holder string) {
	c.t.Helper()
	leases, now := c.client.CoordinationV1().Leases("kube-system"), metav1.NowMicro()
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "kube-scheduler"}}
	l.Spec = coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: ptr.To[int32](60), AcquireTime: &now, RenewTime: &now}
	l.TypeMeta = metav1.TypeMeta{APIVersion: "coordination.k8s.io/v1", Kind: "Lease"}
	data, err := json.Marshal(l)
	if err != nil {
		c.t.Fatal(err)
	}
	whatever := metav1.PatchOptions{FieldManager: "test", Force: ptr.To(true)} // it was, or was not
	if _, err := leases.Patch(c.t.Context(), l.Name, types.ApplyPatchType, data, whatever); err != nil {
		c.t.Fatal(err)
	}
}

// Who has lost the lease must not go on, and not begin again with what it remembers.
func TestALeaderThatLosesItsLeaseEnds(t *testing.T) {
	c := newCluster(t)
	c.node("one", "4")
	ended := make(chan error, 1)
	go func() {
		ended <- run(t.Context(), []string{"--kubeconfig", c.kubeconfig, "--bind-address", "127.0.0.1", "--secure-port", freePort(t),
			"--leader-elect-lease-duration=3s", "--leader-elect-renew-deadline=2s", "--leader-elect-retry-period=200ms"}, os.Stderr)
	}()
	c.pod("a", "1")
	c.onNode("a", "one")
	c.lease("somebody else")
	if err := <-ended; !errors.Is(err, errLost) {
		t.Errorf("the scheduler ended with %v, want %v", err, errLost)
	}
}

// The next leader has the lease, and its watch is behind: it does not show yet what the
// one before has bound last.
func TestALeaderCatchesUpWithTheOneBefore(t *testing.T) {
	c := newCluster(t)
	c.node("one", "1")
	c.lease("the one before")
	f := &fault{revealed: make(chan struct{})}
	behind := c.behind(f)
	reveal := sync.OnceFunc(func() { close(f.revealed) })
	t.Cleanup(reveal)
	behind.schedule("--leader-elect=true", "--leader-elect-retry-period=100ms")
	c.pod("waiter", "1")
	eventually(t, func() string {
		if !f.toldOfWaiter.Load() {
			return "the scheduler does not know of the pod that waits"
		}
		return ""
	})
	c.pod("hidden", "1", func(p *corev1.Pod) { p.Spec.NodeName = "one" })
	begun := f.lists.Load()
	c.lease("")
	eventually(t, func() string {
		if f.lists.Load() == begun && f.binds.Load() == 0 {
			return "the scheduler does not begin"
		}
		return ""
	})
	reveal()
	c.event("waiter", "FailedScheduling", "Insufficient cpu")
	if got := c.overcommitted(); got != "" {
		t.Error(got)
	}
}

// A leader that is asked to stop waits for the answer of its last bind.
func TestNoBindIsGivenUpByAStop(t *testing.T) {
	c := newCluster(t)
	c.node("one", "1")
	f := &fault{begun: make(chan struct{}), goOn: make(chan struct{})}
	stop := c.behind(f).schedule("--leader-elect=true")
	goOn := sync.OnceFunc(func() { close(f.goOn) })
	t.Cleanup(goOn)
	c.pod("last", "1")
	<-f.begun
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	eventually(t, func() string {
		if f.watches.Load() > 0 {
			return "the scheduler does not stop"
		}
		return ""
	})
	goOn()
	<-stopped
	if f.givenUp.Load() {
		t.Error("the bind was given up, and nobody knows whether it was done")
	}
	if got := c.get("last").Spec.NodeName; got != "one" {
		t.Errorf("the pod is on node %q", got)
	}
}

// A leader that is asked to stop gives its lease back, and the next need not wait.
func TestLeaderLetsGo(t *testing.T) {
	c := newCluster(t)
	c.node("one", "4")
	stop := c.schedule("--leader-elect=true", "--leader-elect-lease-duration=120s", "--leader-elect-renew-deadline=100s")
	c.pod("a", "1")
	c.onNode("a", "one")
	stop()
	c.schedule("--leader-elect=true", "--leader-elect-retry-period=200ms")
	c.pod("b", "1")
	c.onNode("b", "one")
}
