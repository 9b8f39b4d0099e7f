// Package network is the seam between a pod sandbox and whatever connects it.
//
// The runtime makes an empty network namespace and hands it to a [Network],
// which puts interfaces, addresses and routes into it. A container never sees
// this package: it joins the namespace of its sandbox. Host-network sandboxes
// have no namespace of their own and never reach a Network.
//
// Implementations are named for how they do it: none (loopback only) and
// bridge (one node, what docker0 did). Step 05 adds cni.
package network

import (
	"context"
	"net/netip"
)

// A Network connects sandboxes.
//
// Its methods are called concurrently for different sandboxes and never
// concurrently for the same one.
type Network interface {
	// Attach connects the sandbox and returns its addresses. It is all or
	// nothing: after an error no interface, address lease or rule of this
	// sandbox is left. Attaching a sandbox that is attached already returns
	// the same result again.
	Attach(ctx context.Context, s Sandbox) (Result, error)

	// Detach releases everything that Attach made. It succeeds when there is
	// nothing to release, and when the namespace is gone already (CNI spec,
	// DEL): the runtime calls it again until it succeeds.
	Detach(ctx context.Context, s Sandbox) error

	// Ready says why no sandbox can be attached at the moment, or nil. It is
	// what the CRI condition NetworkReady reports.
	Ready() error
}

// A Reconciler is a Network that remembers its sandboxes. The runtime calls
// Reconcile once when it starts, before any Attach: a crash may have come
// between Attach and the runtime's own note of the sandbox.
type Reconciler interface {
	// Reconcile detaches every sandbox for whose id live returns false.
	Reconcile(ctx context.Context, live func(sandboxID string) bool) error
}

// A Sandbox is what a Network may know about a pod sandbox.
type Sandbox struct {
	ID           string // unique on the node, for ever
	Namespace    string // of the pod
	Name         string // of the pod
	UID          string // of the pod
	Netns        string // path of the network namespace, such as /run/groundup/netns/ID
	Hostname     string
	PortMappings []PortMapping
	Annotations  map[string]string
}

// A PortMapping is a hostPort: traffic that reaches the node at HostIP:HostPort
// goes on to the sandbox's ContainerPort.
type PortMapping struct {
	Protocol      string     // TCP, UDP or SCTP
	HostIP        netip.Addr // the zero Addr means every address of the node
	HostPort      uint16
	ContainerPort uint16
}

// A Result is what an attached sandbox got.
type Result struct {
	// IPs are the sandbox's addresses, the primary one first.
	IPs []netip.Addr
}
