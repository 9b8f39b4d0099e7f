package bridge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// applyRules replaces the whole table in one transaction, so that it is always
// what the leases say. In the language of nft(8):
//
//	table ip groundup-bridge {
//	  chain guard       { type filter hook prerouting priority raw
//	                      iifname BRIDGE ip daddr 127.0.0.0/8 drop }
//	  chain prerouting  { type nat hook prerouting priority dstnat
//	                      fib daddr type local jump hostports }
//	  chain output      { type nat hook output priority dstnat
//	                      fib daddr type local jump hostports }
//	  chain hostports   { ip daddr HOSTIP meta l4proto tcp th dport PORT dnat to ADDRESS:PORT … }
//	  chain postrouting { type nat hook postrouting priority srcnat
//	                      ip saddr SUBNET oifname != BRIDGE masquerade
//	                      ip saddr SUBNET oifname BRIDGE ct status dnat masquerade
//	                      ip saddr 127.0.0.0/8 oifname BRIDGE masquerade }
//	}
//
// The second masquerade is for a sandbox that reaches a neighbour, or itself,
// through a host port: the answer has to come back through the node, which
// alone knows that the address was rewritten.
func (b *Bridge) applyRules() error {
	all, err := b.leases.all()
	if err != nil {
		return err
	}
	c, err := nftables.New(nftables.WithNetNSFd(int(b.netns)))
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	t := &table{Conn: c, Table: &nftables.Table{Family: nftables.TableFamilyIPv4, Name: b.conf.Table}}
	c.AddTable(t.Table) // deleting needs it to be there
	c.DelTable(t.Table)
	c.AddTable(t.Table)
	t.guard(b.conf.Name)
	t.hostPorts(targets(all))
	t.masquerade(b.conf.Name, b.conf.Subnet)
	if err := c.Flush(); err != nil {
		return fmt.Errorf("apply nft table %s (does the kernel have nf_tables with nat and fib?): %w", b.conf.Table, err)
	}
	return nil
}

func (b *Bridge) deleteTable() error {
	c, err := nftables.New(nftables.WithNetNSFd(int(b.netns)))
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	c.DelTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: b.conf.Table})
	if err := c.Flush(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete nft table %s: %w", b.conf.Table, err)
	}
	return nil
}

// A table is a transaction that fills one table.
type table struct {
	*nftables.Conn
	*nftables.Table
}

func (t *table) chain(name string, kind nftables.ChainType, hook *nftables.ChainHook, priority *nftables.ChainPriority) *nftables.Chain {
	return t.AddChain(&nftables.Chain{Name: name, Table: t.Table, Type: kind, Hooknum: hook, Priority: priority})
}

func (t *table) rule(c *nftables.Chain, matches ...[]expr.Any) {
	t.AddRule(&nftables.Rule{Table: t.Table, Chain: c, Exprs: slices.Concat(matches...)})
}

func (t *table) guard(bridge string) {
	c := t.chain("guard", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw)
	t.rule(c, inputIs(bridge), destinationIn(loopback), verdict(expr.VerdictDrop, ""))
}

func (t *table) hostPorts(targets []target) {
	ports := t.AddChain(&nftables.Chain{Name: "hostports", Table: t.Table})
	for _, to := range targets {
		match := protocolIs(protocols[to.Protocol])
		if to.HostIP.IsValid() {
			match = append(match, destinationIn(netip.PrefixFrom(to.HostIP, 32))...)
		}
		t.rule(ports, match, portIs(to.HostPort), dnat(to.to, to.Port))
	}
	for name, hook := range map[string]*nftables.ChainHook{"prerouting": nftables.ChainHookPrerouting, "output": nftables.ChainHookOutput} {
		c := t.chain(name, nftables.ChainTypeNAT, hook, nftables.ChainPriorityNATDest)
		t.rule(c, destinationIsLocal(), verdict(expr.VerdictJump, ports.Name))
	}
}

func (t *table) masquerade(bridge string, subnet netip.Prefix) {
	c := t.chain("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
	masquerade := []expr.Any{&expr.Masq{}}
	t.rule(c, sourceIn(subnet), outputIs(expr.CmpOpNeq, bridge), masquerade)
	t.rule(c, sourceIn(subnet), outputIs(expr.CmpOpEq, bridge), destinationWasRewritten(), masquerade)
	t.rule(c, sourceIn(loopback), outputIs(expr.CmpOpEq, bridge), masquerade)
}

var loopback = netip.MustParsePrefix("127.0.0.0/8")

// The matches below are what nft(8) compiles its words to: load something into
// a register, and compare.

func inputIs(name string) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, compare(expr.CmpOpEq, interfaceName(name))}
}

func outputIs(op expr.CmpOp, name string) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1}, compare(op, interfaceName(name))}
}

func interfaceName(name string) []byte { return append([]byte(name), make([]byte, 16-len(name))...) }

func protocolIs(protocol byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, compare(expr.CmpOpEq, []byte{protocol})}
}

// Offsets in the IPv4 header (RFC 791) and in every transport header.
const (
	sourceOffset          = 12
	destinationOffset     = 16
	destinationPortOffset = 2
)

func sourceIn(p netip.Prefix) []expr.Any      { return addressIn(sourceOffset, p) }
func destinationIn(p netip.Prefix) []expr.Any { return addressIn(destinationOffset, p) }

func addressIn(offset uint32, p netip.Prefix) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: net.CIDRMask(p.Bits(), 32), Xor: make([]byte, 4)},
		compare(expr.CmpOpEq, p.Addr().AsSlice()),
	}
}

func portIs(port uint16) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: destinationPortOffset, Len: 2},
		compare(expr.CmpOpEq, binary.BigEndian.AppendUint16(nil, port)),
	}
}

func destinationIsLocal() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
		compare(expr.CmpOpEq, binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)),
	}
}

// ipsDstNAT is IPS_DST_NAT of the kernel's nf_conntrack_common.h.
const ipsDstNAT = 1 << 5

func destinationWasRewritten() []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATUS, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(ipsDstNAT), Xor: make([]byte, 4)},
		compare(expr.CmpOpNeq, make([]byte, 4)),
	}
}

func dnat(to netip.Addr, port uint16) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: to.AsSlice()},
		&expr.Immediate{Register: 2, Data: binary.BigEndian.AppendUint16(nil, port)},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 2},
	}
}

func verdict(kind expr.VerdictKind, chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: kind, Chain: chain}}
}

func compare(op expr.CmpOp, data []byte) expr.Any { return &expr.Cmp{Op: op, Register: 1, Data: data} }

// forgetFlows makes clients of a UDP host port find its next owner: the kernel
// remembers a rewritten flow as long as packets come. An older kernel without
// the conntrack interface lets the flow run into its timeout.
func (b *Bridge) forgetFlows(l lease) {
	filter := &netlink.ConntrackFilter{}
	if err := filter.AddIP(netlink.ConntrackReplySrcIP, l.Address.AsSlice()); err != nil {
		return
	}
	if _, err := b.node.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, filter); err != nil {
		b.conf.Log.Debug("connection tracking keeps the flows of a host port", "sandbox", l.Sandbox, "err", err)
	}
}
