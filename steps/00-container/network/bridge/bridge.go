// Package bridge connects the sandboxes of one node, the way docker0 did.
//
// A Linux bridge is a switch in the kernel. Each sandbox gets a virtual cable:
// a veth pair with one end, eth0, in the sandbox and the other plugged into the
// bridge. The bridge itself has the subnet's first address and is everybody's
// default route, so that the node forwards what leaves the subnet, under its
// own address (masquerade), and hands what arrives at a host port to the
// sandbox (DNAT).
//
// What it makes, all inside the network namespace in which [New] was called:
//
//	bridge NAME            with the gateway's address
//	veth…                  one for each sandbox, named after the sandbox's id
//	nft table ip TABLE     masquerade and host ports, replaced as a whole
//	STATE/ADDRESS          the lease of an address, one file each
//	ip_forward, and route_localnet on the bridge
//
// Only IPv4: a sandbox has no IPv6 address beyond the link-local one.
package bridge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/steps/00-container/network"
	"github.com/k8s-groundup/groundup/steps/00-container/network/internal/netns"
)

// Config says what a node's bridge is like. Only State is required.
type Config struct {
	State  string       // directory for the leases; survives a restart, not a new machine
	Name   string       // of the bridge; default groundup0
	Subnet netip.Prefix // of the sandboxes; default: what the bridge has, else 10.88.0.0/24
	MTU    int          // default: that of the interface with the default route, else 1500
	Table  string       // nft table; default groundup-bridge
	Log    *slog.Logger // default slog.Default()
}

func (c Config) withDefaults() (Config, error) {
	if c.Name == "" {
		c.Name = "groundup0"
	}
	if !c.Subnet.IsValid() {
		c.Subnet = subnetOf(c.Name)
	}
	if c.Table == "" {
		c.Table = "groundup-bridge"
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	c.Subnet = c.Subnet.Masked()
	switch {
	case c.State == "":
		return c, errors.New("bridge: no state directory is configured")
	case !c.Subnet.Addr().Is4() || c.Subnet.Bits() > 30:
		return c, fmt.Errorf("bridge: subnet %s: want IPv4 with room for two addresses (/30 or larger)", c.Subnet)
	case len(c.Name) > 15:
		return c, fmt.Errorf("bridge: name %q is longer than the 15 bytes of an interface name", c.Name)
	}
	return c, nil
}

// subnetOf is the subnet of the bridge that is there already, so that commands
// which were told nothing go along with the daemon that was.
func subnetOf(bridge string) netip.Prefix {
	if link, err := netlink.LinkByName(bridge); err == nil {
		addrs, err := netlink.AddrList(link, netlink.FAMILY_V4)
		if err == nil && len(addrs) > 0 {
			if p, err := netip.ParsePrefix(addrs[0].IPNet.String()); err == nil {
				return p
			}
		}
	}
	return netip.MustParsePrefix("10.88.0.0/24")
}

// A Bridge is a node's network.
type Bridge struct {
	conf   Config
	leases leases
	node   *netlink.Handle // in the node's network namespace
	netns  vnetns.NsHandle // the same, for nftables
}

var (
	_ network.Network    = (*Bridge)(nil)
	_ network.Reconciler = (*Bridge)(nil)
)

// New sets the bridge up in the calling thread's network namespace, or takes
// over one that an earlier process has left, leases and host ports included.
func New(c Config) (*Bridge, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.State, 0o755); err != nil {
		return nil, fmt.Errorf("bridge: %w", err)
	}
	b := &Bridge{conf: c, leases: leases{dir: c.State, subnet: c.Subnet}}
	if b.netns, err = vnetns.Get(); err != nil {
		return nil, fmt.Errorf("bridge: %w", err)
	}
	if b.node, err = netlink.NewHandle(unix.NETLINK_ROUTE, unix.NETLINK_NETFILTER); err != nil {
		b.netns.Close()
		return nil, fmt.Errorf("bridge: %w", err)
	}
	if err := b.setUp(); err != nil {
		b.Close()
		return nil, fmt.Errorf("bridge %s: %w", c.Name, err)
	}
	return b, nil
}

func (b *Bridge) setUp() error {
	if err := b.ensureBridge(); err != nil {
		return err
	}
	if err := allowForwarding(b.conf.Name); err != nil {
		return err
	}
	unlock, err := b.leases.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return b.applyRules()
}

// Close lets go of the bridge and leaves everything in place.
func (b *Bridge) Close() {
	b.node.Close()
	b.netns.Close()
}

// Ready checks that the bridge is still there and up.
func (b *Bridge) Ready() error {
	link, err := b.node.LinkByName(b.conf.Name)
	if err != nil {
		return fmt.Errorf("bridge %s is gone: restart the runtime to make it again: %w", b.conf.Name, err)
	}
	if link.Attrs().Flags&netUp == 0 {
		return fmt.Errorf("bridge %s is down: bring it up with: ip link set %s up", b.conf.Name, b.conf.Name)
	}
	return nil
}

// Attach leases an address, plugs the sandbox in and opens its host ports.
func (b *Bridge) Attach(ctx context.Context, s network.Sandbox) (network.Result, error) {
	result, err := b.attach(ctx, s)
	if err != nil {
		err = fmt.Errorf("attach %s to %s: %w", s.ID, b.conf.Name, err)
		return network.Result{}, errors.Join(err, b.Detach(context.WithoutCancel(ctx), s))
	}
	return result, nil
}

func (b *Bridge) attach(ctx context.Context, s network.Sandbox) (network.Result, error) {
	if err := ctx.Err(); err != nil {
		return network.Result{}, err
	}
	ports, err := forwardsOf(s.PortMappings)
	if err != nil {
		return network.Result{}, err
	}
	ns, err := netns.Open(s.Netns)
	if err != nil {
		return network.Result{}, err
	}
	defer ns.Close()
	l, err := b.lease(s, ports)
	if err != nil {
		return network.Result{}, err
	}
	if err := b.plug(ns, l); err != nil {
		return network.Result{}, err
	}
	return network.Result{IPs: []netip.Addr{l.Address}}, nil
}

// lease claims the address and opens the ports. They belong together: what the
// table says is what the lease files say.
func (b *Bridge) lease(s network.Sandbox, ports []forward) (lease, error) {
	unlock, err := b.leases.lock()
	if err != nil {
		return lease{}, err
	}
	defer unlock()
	l, err := b.leases.claim(lease{Sandbox: s.ID, Pod: s.Namespace + "/" + s.Name, Ports: ports})
	if err != nil || len(ports) == 0 {
		return l, err
	}
	return l, b.applyRules()
}

// Detach closes the host ports, pulls the cable and, last, returns the address.
func (b *Bridge) Detach(_ context.Context, s network.Sandbox) error {
	if err := b.detach(s.ID); err != nil {
		return fmt.Errorf("detach %s from %s: %w", s.ID, b.conf.Name, err)
	}
	return nil
}

func (b *Bridge) detach(id string) error {
	l, err := b.closePorts(id)
	if err != nil {
		return err
	}
	// The kernel takes its time to unplug: others need not wait for it.
	if err := b.unplug(id); err != nil {
		return err
	}
	return b.leases.release(l)
}

// closePorts returns the lease, or the zero lease when there is none.
func (b *Bridge) closePorts(id string) (lease, error) {
	unlock, err := b.leases.lock()
	if err != nil {
		return lease{}, err
	}
	defer unlock()
	l, err := b.leases.find(id)
	if errors.Is(err, fs.ErrNotExist) {
		return lease{}, nil
	}
	if err != nil || len(l.Ports) == 0 {
		return l, err
	}
	closed := l
	closed.Ports = nil
	if err := b.leases.write(closed); err != nil {
		return l, err
	}
	if err := b.applyRules(); err != nil {
		return l, errors.Join(err, b.leases.write(l)) // for the next attempt
	}
	b.forgetFlows(l)
	return closed, nil
}

// Reconcile detaches every sandbox for which live is false: those whose
// runtime died between making and recording them.
func (b *Bridge) Reconcile(_ context.Context, live func(sandboxID string) bool) error {
	all, err := b.leases.all()
	if err != nil {
		return fmt.Errorf("bridge %s: %w", b.conf.Name, err)
	}
	var failed []error
	for _, l := range all {
		if live(l.Sandbox) {
			continue
		}
		b.conf.Log.Info("network of a lost sandbox is released", "sandbox", l.Sandbox, "pod", l.Pod, "ip", l.Address)
		if err := b.detach(l.Sandbox); err != nil {
			failed = append(failed, fmt.Errorf("detach %s from %s: %w", l.Sandbox, b.conf.Name, err))
		}
	}
	return errors.Join(failed...)
}

// Remove takes down everything that New and Attach made, except ip_forward,
// which others may rely on. The Bridge can't be used afterwards.
func (b *Bridge) Remove(ctx context.Context) error {
	return errors.Join(
		b.Reconcile(ctx, func(string) bool { return false }),
		b.deleteTable(),
		b.deleteLink(b.conf.Name),
		b.leases.removeAll(),
	)
}
