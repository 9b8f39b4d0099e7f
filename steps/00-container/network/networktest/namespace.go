package networktest

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/vishvananda/netns"
)

// A Namespace is a network namespace that ends with its test.
type Namespace struct {
	handle netns.NsHandle
	close  sync.Once
}

// NewNamespace makes an empty network namespace: a node or a sandbox.
func NewNamespace(t *testing.T) *Namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("making a network namespace needs root")
	}
	n := &Namespace{}
	// A thread that can't get back to its namespace must not serve others: as
	// long as it is locked, it ends with its goroutine.
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		var err error
		n.handle, err = netns.New()
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatalf("make a network namespace: %v", err)
	}
	t.Cleanup(n.Close)
	return n
}

// Path is the path of the namespace, for this process.
func (n *Namespace) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), int(n.handle)) }

// Close lets the namespace go.
func (n *Namespace) Close() { n.close.Do(func() { n.handle.Close() }) }

// Do runs f inside the namespace. A socket that f opens stays in it.
func (n *Namespace) Do(t *testing.T, f func()) {
	t.Helper()
	runtime.LockOSThread()
	before, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	if err := netns.Set(n.handle); err != nil {
		t.Fatalf("enter network namespace: %v", err)
	}
	defer func() {
		if err := netns.Set(before); err != nil {
			t.Errorf("leave network namespace: %v", err)
			return // the thread stays locked, and ends with the goroutine
		}
		runtime.UnlockOSThread()
	}()
	f()
}

// Interfaces lists the namespace's interfaces.
func (n *Namespace) Interfaces(t *testing.T) (all []net.Interface) {
	t.Helper()
	var err error
	n.Do(t, func() { all, err = net.Interfaces() })
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Addresses lists the namespace's IPv4 addresses.
func (n *Namespace) Addresses(t *testing.T) (all []netip.Addr) {
	t.Helper()
	var addresses []net.Addr
	var err error
	n.Do(t, func() { addresses, err = net.InterfaceAddrs() })
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
			all = append(all, p.Addr())
		}
	}
	return all
}
