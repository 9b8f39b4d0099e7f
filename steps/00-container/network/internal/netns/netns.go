// Package netns works inside a sandbox's network namespace without entering
// it: a netlink socket belongs to the namespace in which it was opened.
package netns

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// An NS is an open network namespace, with a netlink socket in it.
type NS struct {
	*netlink.Handle
	handle netns.NsHandle
}

// Open opens the namespace at path. The error satisfies errors.Is
// fs.ErrNotExist when there is none.
func Open(path string) (*NS, error) {
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return nil, fmt.Errorf("open network namespace %s: %w", path, err)
	}
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		ns.Close()
		return nil, fmt.Errorf("open netlink in network namespace %s: %w", path, err)
	}
	return &NS{h, ns}, nil
}

// Fd is for the kernel calls that take a namespace.
func (n *NS) Fd() int { return int(n.handle) }

// Close closes the namespace; it lives on as long as anything else keeps it.
func (n *NS) Close() {
	n.Handle.Close()
	n.handle.Close()
}

// LoopbackUp brings lo up, which the kernel leaves down in a new namespace.
func (n *NS) LoopbackUp() error {
	lo, err := n.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := n.LinkSetUp(lo); err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	return nil
}
