// Package fabric is the network between the nodes: one bridge on this machine,
// and a cable, a veth pair, from it to each box.
//
//	this machine                       node-1
//	gu0 10.89.0.1/24 ── gu-node-1 ═══ eth0 10.89.0.11/24
//
// This machine routes: to the pods of a node through the node's address, and
// to the world by masquerade, so nodes can pull images. Nothing else of this
// machine's network is touched, and [Remove] takes all of it away.
package fabric

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The names of everything that is made here.
const (
	Bridge      = "gu0"
	table       = "groundup-lab"
	forwardFile = "/proc/sys/net/ipv4/ip_forward"
)

// A Plan says which addresses the nodes and their pods have.
type Plan struct {
	Nodes netip.Prefix `json:"nodes"` // the bridge has its first address, node N the one 10 above N
	Pods  netip.Prefix `json:"pods"`  // node N has the /24 number N
}

// plans are tried in order until one is free on this machine.
var plans = []Plan{
	{netip.MustParsePrefix("10.89.0.0/24"), netip.MustParsePrefix("10.244.0.0/16")},
	{netip.MustParsePrefix("172.29.89.0/24"), netip.MustParsePrefix("10.245.0.0/16")},
	{netip.MustParsePrefix("192.168.89.0/24"), netip.MustParsePrefix("10.246.0.0/16")},
}

// Choose returns the first plan that overlaps no route of this machine.
func Choose() (Plan, error) {
	routes, err := netlink.RouteList(nil, unix.AF_INET)
	if err != nil {
		return Plan{}, fmt.Errorf("list routes: %w", err)
	}
	var taken []netip.Prefix
	for _, r := range routes {
		if p, ok := prefix(r.Dst); ok && p.Bits() > 0 {
			taken = append(taken, p)
		}
	}
	return choose(taken)
}

func choose(taken []netip.Prefix) (Plan, error) {
next:
	for _, plan := range plans {
		for _, p := range taken {
			if plan.Nodes.Overlaps(p) || plan.Pods.Overlaps(p) {
				continue next
			}
		}
		return plan, nil
	}
	return Plan{}, fmt.Errorf("every network that nodes could have (%v) overlaps a route of this machine: see ip route", plans)
}

func prefix(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), ones), ok
}

// Gateway is this machine's address on the bridge.
func (p Plan) Gateway() netip.Addr { return offset(p.Nodes.Addr(), 1) }

// Node is the address of node n, counted from 1.
func (p Plan) Node(n int) netip.Addr { return offset(p.Nodes.Addr(), 10+n) }

// PodCIDR is the range that the pods of node n have their addresses from.
func (p Plan) PodCIDR(n int) netip.Prefix {
	a := p.Pods.Addr().As4()
	a[2] = byte(n)
	return netip.PrefixFrom(netip.AddrFrom4(a), 24)
}

func offset(a netip.Addr, n int) netip.Addr {
	b := a.As4()
	b[3] += byte(n)
	return netip.AddrFrom4(b)
}

// Forwards says whether this machine forwards packets already. The answer has to
// be kept before [Ensure] turns it on, so that [Remove] can restore it.
func Forwards() (bool, error) {
	now, err := os.ReadFile(forwardFile)
	return strings.TrimSpace(string(now)) == "1", err
}

// There says whether the bridge of owner, the home directory of a cluster, is there. It
// is an error when somebody else's is: a machine has room for one.
func There(owner string) (bool, error) {
	link, err := find(owner)
	return link != nil && err == nil, err
}

// taken is the error when the bridge is somebody else's.
type taken struct{ owner string } // a cluster's home directory, or empty

func (t taken) Error() string {
	if t.owner == "" {
		return fmt.Sprintf("this machine has an interface %s that is not ours: see ip -d link show %s", Bridge, Bridge)
	}
	return fmt.Sprintf("a machine has room for one cluster of boxes, and %s is that of the one in %s: `GROUNDUP_HOME=%s lab down` removes it", Bridge, t.owner, t.owner)
}

// find returns the bridge of owner, nil when there is none.
func find(owner string) (netlink.Link, error) {
	link, err := netlink.LinkByName(Bridge)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("bridge %s: %w", Bridge, err)
	}
	return link, owns(owner, link.Type(), link.Attrs().Alias)
}

// owns says by the kind and the alias of the bridge whether it is owner's. One without
// an alias is, too: it was made by a lab that was killed before it could give it one.
func owns(owner, kind, have string) error {
	other, marked := strings.CutPrefix(have, aliasPrefix)
	switch {
	case kind != "bridge" || have != "" && !marked:
		return taken{}
	case have != "" && have != alias(owner):
		return taken{other}
	}
	return nil
}

const aliasPrefix = "groundup "

// alias is what the bridge says of who owns it: as much of it as the kernel keeps.
func alias(owner string) string {
	a := aliasPrefix + owner
	return a[:min(len(a), 255)]
}

// Ensure makes the bridge of owner, the masquerade rule and forwarding. It may be
// called again.
func Ensure(owner string, p Plan) error {
	if _, err := There(owner); err != nil {
		return err
	}
	br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: Bridge}}
	if err := netlink.LinkAdd(br); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("make bridge %s: %w", Bridge, err)
	}
	link, err := netlink.LinkByName(Bridge)
	if err != nil {
		return fmt.Errorf("bridge %s: %w", Bridge, err)
	}
	if err := netlink.LinkSetAlias(link, alias(owner)); err != nil {
		return fmt.Errorf("write down on %s whose it is: %w", Bridge, err)
	}
	if err := netlink.AddrReplace(link, address(p.Gateway(), p.Nodes.Bits())); err != nil {
		return fmt.Errorf("give %s its address: %w", Bridge, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring %s up: %w", Bridge, err)
	}
	if err := masquerade(p); err != nil {
		return err
	}
	return os.WriteFile(forwardFile, []byte("1"), 0)
}

func address(a netip.Addr, bits int) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(bits, 32)}}
}

// masquerade replaces our nft table. As nft prints it:
//
//	table ip groundup-lab {
//	  chain postrouting {
//	    type nat hook postrouting priority srcnat;
//	    ip saddr 10.89.0.0/24 oifname != "gu0" masquerade
//	  }
//	}
func masquerade(p Plan) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	t := &nftables.Table{Name: table, Family: nftables.TableFamilyIPv4}
	c.AddTable(t) // so that there is one to delete
	c.DelTable(t)
	c.AddTable(t)
	chain := c.AddChain(&nftables.Chain{
		Name: "postrouting", Table: t, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	bridge := make([]byte, 16)
	copy(bridge, Bridge)
	mask := net.CIDRMask(p.Nodes.Bits(), 32)
	c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: binaryutil.NativeEndian.PutUint32(0)},
		&expr.Cmp{Register: 1, Op: expr.CmpOpEq, Data: p.Nodes.Masked().Addr().AsSlice()},
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Register: 1, Op: expr.CmpOpNeq, Data: bridge},
		&expr.Masq{},
	}})
	if err := c.Flush(); err != nil {
		return fmt.Errorf("write nft table %s: %w (requires nf_tables with nat in the kernel)", table, err)
	}
	return nil
}

// Remove takes away what [Ensure] made for owner, the cables with it. It succeeds when
// there is nothing.
//
// The bridge goes last: while it is there, the rest may be. When it is not, as after a
// reboot, it was not us who turned forwarding on.
func Remove(owner string, forwardWasOff bool) error {
	link, err := find(owner)
	if errors.As(err, &taken{}) {
		return nil // nothing here is ours
	} else if err != nil {
		return err
	}
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	t := &nftables.Table{Name: table, Family: nftables.TableFamilyIPv4}
	c.AddTable(t)
	c.DelTable(t)
	if err := c.Flush(); err != nil {
		return fmt.Errorf("remove nft table %s: %w", table, err)
	}
	if link == nil {
		return nil
	}
	if forwardWasOff {
		if err := os.WriteFile(forwardFile, []byte("0"), 0); err != nil {
			return err
		}
	}
	if err := netlink.LinkDel(link); err != nil {
		return fmt.Errorf("remove bridge %s: %w", Bridge, err)
	}
	return nil
}
