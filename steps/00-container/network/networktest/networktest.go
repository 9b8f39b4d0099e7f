// Package networktest checks that an implementation of [network.Network] keeps
// the promises of that interface, in the manner of testing/fstest.
//
// Every check makes its own node, a network namespace of its own, so nothing
// touches the machine's network.
package networktest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/k8s-groundup/groundup/steps/00-container/network"
)

// New makes the implementation under test. It is called inside the network
// namespace of a fresh node.
type New func(t *testing.T) network.Network

// Run runs every check as a subtest.
func Run(t *testing.T, newNetwork New) {
	for name, check := range map[string]func(*testing.T, *fixture){
		"Ready":                  ready,
		"AttachBringsLoopbackUp": attachBringsLoopbackUp,
		"AttachTwice":            attachTwice,
		"AttachIsAllOrNothing":   attachIsAllOrNothing,
		"AddressesAreDistinct":   addressesAreDistinct,
		"AddressIsOnAnInterface": addressIsOnAnInterface,
		"DetachTwice":            detachTwice,
		"DetachUnknown":          detachUnknown,
		"DetachWithoutNamespace": detachWithoutNamespace,
		"AddressesAreReused":     addressesAreReused,
		"Reconcile":              reconcile,
	} {
		t.Run(name, func(t *testing.T) {
			f := &fixture{T: t, node: NewNamespace(t)}
			f.node.Do(t, func() { f.Network = newNetwork(t) })
			check(t, f)
		})
	}
}

// A fixture is a node with the network under test.
type fixture struct {
	*testing.T
	network.Network
	node *Namespace
}

// sandbox makes a sandbox with an empty network namespace.
func (f *fixture) sandbox(id string) (network.Sandbox, *Namespace) {
	f.Helper()
	ns := NewNamespace(f.T)
	return network.Sandbox{ID: id, Namespace: "default", Name: id, UID: "uid-" + id, Netns: ns.Path(), Hostname: id}, ns
}

func (f *fixture) attach(s network.Sandbox) network.Result {
	f.Helper()
	r, err := f.Attach(f.Context(), s)
	if err != nil {
		f.Fatalf("Attach: %v", err)
	}
	return r
}

func (f *fixture) detach(s network.Sandbox, rule string) {
	f.Helper()
	if err := f.Detach(f.Context(), s); err != nil {
		f.Fatalf("Detach: %v; %s", err, rule)
	}
}

func ready(t *testing.T, f *fixture) {
	if err := f.Ready(); err != nil {
		t.Errorf("Ready: %v; a network that was just made must take sandboxes, or the node stays NotReady", err)
	}
}

func attachBringsLoopbackUp(t *testing.T, f *fixture) {
	s, ns := f.sandbox("a")
	f.attach(s)
	if !slices.ContainsFunc(ns.Interfaces(t), func(i net.Interface) bool { return i.Name == "lo" && i.Flags&net.FlagUp != 0 }) {
		t.Error("lo is down after Attach; containers of a pod would not reach each other over localhost")
	}
}

func attachTwice(t *testing.T, f *fixture) {
	s, ns := f.sandbox("a")
	first := f.attach(s)
	before := ns.Addresses(t)
	second := f.attach(s)
	if !slices.Equal(first.IPs, second.IPs) {
		t.Errorf("got %v, then %v; attaching an attached sandbox must return the same result, for a runtime repeats it after a crash", first.IPs, second.IPs)
	}
	if after := ns.Addresses(t); !slices.Equal(before, after) {
		t.Errorf("the second Attach changed the sandbox's addresses from %v to %v; connections would break", before, after)
	}
}

func attachIsAllOrNothing(t *testing.T, f *fixture) {
	before := f.node.Interfaces(t)
	s, _ := f.sandbox("a")
	good := s.Netns
	s.Netns = filepath.Join(t.TempDir(), "missing")
	if _, err := f.Attach(t.Context(), s); err == nil {
		t.Fatal("Attach succeeded without a namespace; the pod would run without a network")
	}
	if after := f.node.Interfaces(t); len(after) != len(before) {
		t.Errorf("a failed Attach left interfaces %v; there were %v", names(after), names(before))
	}
	s.Netns = good
	f.attach(s) // what a failed attempt keeps must not stand in the way of the next
}

func addressesAreDistinct(t *testing.T, f *fixture) {
	const n = 20
	var wg sync.WaitGroup
	results := make([]network.Result, n)
	for i := range n {
		s, _ := f.sandbox(fmt.Sprint("sandbox-", i))
		wg.Go(func() {
			var err error
			if results[i], err = f.Attach(context.WithoutCancel(t.Context()), s); err != nil {
				t.Errorf("Attach %d of %d at the same time: %v; different sandboxes may be attached concurrently", i, n, err)
			}
		})
	}
	wg.Wait()
	owner := map[netip.Addr]int{}
	for i, r := range results {
		for _, ip := range r.IPs {
			if other, taken := owner[ip]; taken {
				t.Errorf("sandboxes %d and %d both got %s; every pod must have an address of its own", other, i, ip)
			}
			owner[ip] = i
		}
	}
}

func addressIsOnAnInterface(t *testing.T, f *fixture) {
	s, ns := f.sandbox("a")
	for _, ip := range f.attach(s).IPs {
		if !slices.Contains(ns.Addresses(t), ip) {
			t.Errorf("the result says %s, the sandbox has %v; a pod must be able to bind its own address", ip, ns.Addresses(t))
		}
	}
}

func detachTwice(t *testing.T, f *fixture) {
	before := f.node.Interfaces(t)
	s, _ := f.sandbox("a")
	f.attach(s)
	f.detach(s, "")
	f.detach(s, "detaching what is detached must succeed, for the runtime repeats it after a crash")
	if after := f.node.Interfaces(t); len(after) != len(before) {
		t.Errorf("Detach left interfaces %v; before Attach there were %v", names(after), names(before))
	}
}

func detachUnknown(_ *testing.T, f *fixture) {
	s, _ := f.sandbox("never-attached")
	f.detach(s, "there is nothing to release, so it must succeed, or the runtime would repeat it for ever")
}

func detachWithoutNamespace(t *testing.T, f *fixture) {
	before := f.node.Interfaces(t)
	s, ns := f.sandbox("a")
	f.attach(s)
	ns.Close()
	f.detach(s, "the namespace may be gone, after a power cut for instance, and everything else must still be released")
	if after := f.node.Interfaces(t); len(after) != len(before) {
		t.Errorf("Detach without a namespace left interfaces %v; before Attach there were %v", names(after), names(before))
	}
}

// addressesAreReused attaches more sandboxes one after the other than a /24 has
// addresses.
func addressesAreReused(t *testing.T, f *fixture) {
	s, _ := f.sandbox("a")
	for i := range 300 {
		s.ID = fmt.Sprint("sandbox-", i)
		if _, err := f.Attach(t.Context(), s); err != nil {
			t.Fatalf("Attach %d: %v; Detach must return the address, or a node runs out of them", i, err)
		}
		f.detach(s, "")
	}
}

func reconcile(t *testing.T, f *fixture) {
	r, ok := f.Network.(network.Reconciler)
	if !ok {
		t.Skip("this network remembers nothing, so it is no Reconciler")
	}
	lost, lostNS := f.sandbox("lost")
	live, liveNS := f.sandbox("live")
	f.attach(lost)
	f.attach(live)
	if err := r.Reconcile(t.Context(), func(id string) bool { return id == live.ID }); err != nil {
		t.Fatal(err)
	}
	if got := len(lostNS.Interfaces(t)); got != 1 {
		t.Errorf("the lost sandbox has %d interfaces; only lo may be left, or its address is never free again", got)
	}
	if got := len(liveNS.Interfaces(t)); got < 2 {
		t.Error("Reconcile took the interface of a sandbox that lives")
	}
}

func names(interfaces []net.Interface) []string {
	var out []string
	for _, i := range interfaces {
		out = append(out, i.Name)
	}
	return out
}
