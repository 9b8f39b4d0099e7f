package bridge

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/k8s-groundup/groundup/steps/00-container/network/internal/netns"
)

const netUp = net.FlagUp

// ensureBridge makes the bridge, or checks the one that is there.
func (b *Bridge) ensureBridge() error {
	if b.conf.MTU == 0 {
		b.conf.MTU = b.uplinkMTU()
	}
	link, err := b.findLink(b.conf.Name)
	if err != nil {
		return err
	}
	if link == nil {
		if link, err = b.addBridge(); err != nil {
			return err
		}
	}
	if link.Type() != "bridge" {
		return fmt.Errorf("an interface of that name exists and is a %s: choose another name", link.Type())
	}
	if err := b.ensureGateway(link); err != nil {
		return err
	}
	return b.node.LinkSetUp(link)
}

// addBridge gives the bridge a fixed hardware address: otherwise it would take
// over the lowest one of its ports, and change it with them.
func (b *Bridge) addBridge() (netlink.Link, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = b.conf.Name, b.conf.MTU, hardwareAddr(b.leases.gateway())
	if err := b.node.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil && !errors.Is(err, errExists) {
		return nil, fmt.Errorf("create: %w", err)
	}
	return b.node.LinkByName(b.conf.Name)
}

func (b *Bridge) ensureGateway(link netlink.Link) error {
	want := netip.PrefixFrom(b.leases.gateway(), b.conf.Subnet.Bits())
	have, err := b.node.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range have {
		if a.IPNet.String() != want.String() {
			return fmt.Errorf("it has the address %s, want %s: delete it with: ip link del %s", a.IPNet, want, b.conf.Name)
		}
	}
	if len(have) > 0 {
		return nil
	}
	if err := b.node.AddrAdd(link, &netlink.Addr{IPNet: ipNet(want)}); err != nil {
		return fmt.Errorf("add address %s: %w", want, err)
	}
	return nil
}

// uplinkMTU spares packets to the outside from being cut in two.
func (b *Bridge) uplinkMTU() int {
	const ethernet = 1500
	routes, err := b.node.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return ethernet
	}
	for _, r := range routes {
		if r.Dst != nil && !r.Dst.IP.IsUnspecified() {
			continue
		}
		if link, err := b.node.LinkByIndex(r.LinkIndex); err == nil {
			return link.Attrs().MTU
		}
	}
	return ethernet
}

// plug connects the namespace. A cable that is right already is left alone;
// one that is not, such as a crash would leave, is replaced.
func (b *Bridge) plug(ns *netns.NS, l lease) error {
	if err := ns.LoopbackUp(); err != nil {
		return err
	}
	host, err := b.findLink(vethName(l.Sandbox))
	if err != nil {
		return err
	}
	if host != nil && b.plugged(ns, host, l) {
		return nil
	}
	if err := b.unplug(l.Sandbox); err != nil {
		return err
	}
	if err := b.addVeth(ns, l); err != nil {
		return err
	}
	return b.configure(ns, l)
}

func (b *Bridge) plugged(ns *netns.NS, host netlink.Link, l lease) bool {
	eth0, err := ns.LinkByName("eth0")
	if err != nil || eth0.Attrs().ParentIndex != host.Attrs().Index {
		return false
	}
	has, err := ns.AddrList(eth0, netlink.FAMILY_V4)
	if err != nil || !slices.ContainsFunc(has, func(a netlink.Addr) bool { return a.IP.Equal(l.Address.AsSlice()) }) {
		return false
	}
	routes, err := ns.RouteList(eth0, netlink.FAMILY_V4)
	return err == nil && slices.ContainsFunc(routes, func(r netlink.Route) bool { return r.Gw != nil })
}

// addVeth creates both ends at once, the second one in the sandbox. Its
// hardware address follows from its IP address, so that neighbours who
// remember a former holder of the address are still right.
func (b *Bridge) addVeth(ns *netns.NS, l lease) error {
	bridge, err := b.node.LinkByName(b.conf.Name)
	if err != nil {
		return fmt.Errorf("find the bridge: %w", err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.MasterIndex = vethName(l.Sandbox), b.conf.MTU, bridge.Attrs().Index
	veth := &netlink.Veth{
		LinkAttrs: attrs, PeerName: "eth0", PeerMTU: uint32(b.conf.MTU),
		PeerHardwareAddr: hardwareAddr(l.Address), PeerNamespace: netlink.NsFd(ns.Fd()),
	}
	if err := b.node.LinkAdd(veth); err != nil {
		return fmt.Errorf("create veth pair %s: %w", attrs.Name, err)
	}
	host, err := b.node.LinkByName(attrs.Name)
	if err != nil {
		return err
	}
	// A sandbox may reach itself through its own host port: the bridge must
	// send the packet back where it came from.
	if err := b.node.LinkSetHairpin(host, true); err != nil {
		return fmt.Errorf("set hairpin on %s: %w", attrs.Name, err)
	}
	return b.node.LinkSetUp(host)
}

func (b *Bridge) configure(ns *netns.NS, l lease) error {
	eth0, err := ns.LinkByName("eth0")
	if err != nil {
		return fmt.Errorf("find eth0: %w", err)
	}
	address := netip.PrefixFrom(l.Address, b.conf.Subnet.Bits())
	if err := ns.AddrAdd(eth0, &netlink.Addr{IPNet: ipNet(address)}); err != nil {
		return fmt.Errorf("add address %s to eth0: %w", address, err)
	}
	if err := ns.LinkSetUp(eth0); err != nil {
		return fmt.Errorf("bring eth0 up: %w", err)
	}
	gateway := b.leases.gateway()
	route := &netlink.Route{LinkIndex: eth0.Attrs().Index, Gw: gateway.AsSlice()}
	if err := ns.RouteAdd(route); err != nil {
		return fmt.Errorf("add default route via %s: %w", gateway, err)
	}
	return nil
}

// unplug deletes the node's end, and with it the other one.
func (b *Bridge) unplug(sandbox string) error { return b.deleteLink(vethName(sandbox)) }

func (b *Bridge) deleteLink(name string) error {
	link, err := b.findLink(name)
	if err != nil || link == nil {
		return err
	}
	// The namespace at the other end may be dying and take the pair with it.
	if err := b.node.LinkDel(link); err != nil && !errors.Is(err, errNoDevice) {
		return fmt.Errorf("delete interface %s: %w", name, err)
	}
	return nil
}

// findLink returns nil when there is no such interface.
func (b *Bridge) findLink(name string) (netlink.Link, error) {
	link, err := b.node.LinkByName(name)
	if _, ok := errors.AsType[netlink.LinkNotFoundError](err); ok {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find interface %s: %w", name, err)
	}
	return link, nil
}

// vethName is the same for a sandbox every time, and fits into the 15 bytes
// that an interface name may have.
func vethName(sandbox string) string {
	return "veth" + fmt.Sprintf("%x", sha256.Sum256([]byte(sandbox)))[:11]
}

// hardwareAddr is a locally administered address made of an IPv4 address.
func hardwareAddr(a netip.Addr) net.HardwareAddr {
	return append(net.HardwareAddr{0x0a, 0x58}, a.AsSlice()...)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}
}
