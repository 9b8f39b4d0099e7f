package fabric

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// cable is the name of the end that is plugged into the bridge.
func cable(node string) string { return "gu-" + node }

// Connect plugs a cable from the bridge of owner into the network namespace of process
// pid, where it is eth0 with the node's address and a default route, and sets
// the route of this machine to the node's pods.
func Connect(owner string, p Plan, n int, node string, pid int) error {
	bridge, err := find(owner)
	if err != nil {
		return err
	} else if bridge == nil {
		return fmt.Errorf("bridge %s is gone", Bridge)
	}
	if err := Disconnect(owner, p, n, node); err != nil {
		return err
	}
	veth := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: cable(node), MasterIndex: bridge.Attrs().Index, Flags: net.FlagUp},
		PeerName:      "eth0",
		PeerNamespace: netlink.NsPid(pid),
	}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("connect %s to %s: %w", node, Bridge, err)
	}
	if err := inside(p, n, pid); err != nil {
		return fmt.Errorf("network of %s: %w", node, err)
	}
	if err := netlink.RouteReplace(podRoute(p, n)); err != nil {
		return fmt.Errorf("route to the pods of %s: %w", node, err)
	}
	return nil
}

// podRoute is the route of this machine to the pods of node n.
func podRoute(p Plan, n int) *netlink.Route {
	return &netlink.Route{Dst: ipnet(p.PodCIDR(n)), Gw: p.Node(n).AsSlice()}
}

func inside(p Plan, n, pid int) error {
	ns, err := netns.GetFromPid(pid)
	if err != nil {
		return err
	}
	defer ns.Close()
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	for _, name := range []string{"lo", "eth0"} {
		link, err := h.LinkByName(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if name == "eth0" {
			if err := h.AddrAdd(link, address(p.Node(n), p.Nodes.Bits())); err != nil {
				return fmt.Errorf("address of eth0: %w", err)
			}
		}
		if err := h.LinkSetUp(link); err != nil {
			return fmt.Errorf("%s up: %w", name, err)
		}
	}
	if err := h.RouteAdd(&netlink.Route{Gw: p.Gateway().AsSlice()}); err != nil {
		return fmt.Errorf("default route: %w", err)
	}
	return nil
}

// Disconnect pulls the node's cable from the bridge of owner and forgets the route to
// its pods. It succeeds when there is none. Without a plan the route goes with the
// bridge.
func Disconnect(owner string, p Plan, n int, node string) error {
	if _, err := find(owner); errors.As(err, &taken{}) {
		return nil // what bears the node's name there is another cluster's
	} else if err != nil {
		return err
	}
	if p != (Plan{}) {
		if err := netlink.RouteDel(podRoute(p, n)); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("remove the route to the pods of %s: %w", node, err)
		}
	}
	link, err := netlink.LinkByName(cable(node))
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	} else if err != nil {
		return err
	}
	if err := netlink.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("disconnect %s: %w", node, err)
	}
	return nil
}

func ipnet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}
}
