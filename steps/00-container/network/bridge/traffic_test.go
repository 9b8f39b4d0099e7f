package bridge

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"

	"github.com/k8s-groundup/groundup/steps/00-container/network"
	"github.com/k8s-groundup/groundup/steps/00-container/network/internal/netns"
	"github.com/k8s-groundup/groundup/steps/00-container/network/networktest"
)

// How long to wait for an answer: that comes, and that must not come.
const (
	patience = 3 * time.Second
	silence  = 300 * time.Millisecond
)

// A world is a node with a bridge and a cable to an outside that knows nothing
// of the sandboxes' subnet.
type world struct {
	t             *testing.T
	node, outside *networktest.Namespace
	bridge        *Bridge
	patience      time.Duration
}

var (
	nodeIP    = netip.MustParseAddr("192.0.2.1")
	outsideIP = netip.MustParseAddr("192.0.2.2")
)

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, patience: patience, node: networktest.NewNamespace(t), outside: networktest.NewNamespace(t)}
	node, outside := w.open(w.node), w.open(w.outside)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "uplink"
	w.must(node.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "uplink", PeerNamespace: netlink.NsFd(outside.Fd())}))
	w.configure(node, nodeIP)
	w.configure(outside, outsideIP)
	w.must(node.RouteAdd(&netlink.Route{Gw: outsideIP.AsSlice()}))
	w.node.Do(t, func() { w.bridge = newBridge(t, Config{}) })
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) open(n *networktest.Namespace) *netns.NS {
	w.t.Helper()
	ns, err := netns.Open(n.Path())
	w.must(err)
	w.t.Cleanup(ns.Close)
	w.must(ns.LoopbackUp())
	return ns
}

func (w *world) configure(ns *netns.NS, a netip.Addr) {
	w.t.Helper()
	link, err := ns.LinkByName("uplink")
	w.must(err)
	w.must(ns.AddrAdd(link, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, 24))}))
	w.must(ns.LinkSetUp(link))
}

// pod attaches a sandbox.
func (w *world) pod(name string, ports ...network.PortMapping) (*networktest.Namespace, netip.Addr) {
	w.t.Helper()
	ns := networktest.NewNamespace(w.t)
	r, err := w.bridge.Attach(w.t.Context(), network.Sandbox{ID: name, Namespace: "default", Name: name, Netns: ns.Path(), PortMappings: ports})
	w.must(err)
	return ns, r.IPs[0]
}

// serveTCP answers each connection with the address that it came from.
func (w *world) serveTCP(ns *networktest.Namespace, address string) {
	w.t.Helper()
	ns.Do(w.t, func() {
		l, err := net.Listen("tcp4", address)
		w.must(err)
		w.t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprint(c, netip.MustParseAddrPort(c.RemoteAddr().String()).Addr())
				c.Close()
			}
		}()
	})
}

func (w *world) serveUDP(ns *networktest.Namespace, address string) {
	w.t.Helper()
	ns.Do(w.t, func() {
		c, err := net.ListenPacket("udp4", address)
		w.must(err)
		w.t.Cleanup(func() { c.Close() })
		go func() {
			buffer := make([]byte, 64)
			for {
				_, from, err := c.ReadFrom(buffer)
				if err != nil {
					return
				}
				_, _ = c.WriteTo([]byte(netip.MustParseAddrPort(from.String()).Addr().String()), from)
			}
		}()
	})
}

// ask connects and returns the address that the server saw.
func (w *world) ask(ns *networktest.Namespace, proto, to string) (answer string, err error) {
	w.t.Helper()
	ns.Do(w.t, func() {
		var c net.Conn
		if c, err = net.DialTimeout(proto, to, w.patience); err != nil {
			return
		}
		defer c.Close()
		w.must(c.SetDeadline(time.Now().Add(w.patience)))
		if proto == "udp4" {
			if _, err = c.Write([]byte("who am I")); err != nil {
				return
			}
			buffer := make([]byte, 64)
			var n int
			n, err = c.Read(buffer)
			answer = string(buffer[:n])
			return
		}
		var raw []byte
		raw, err = io.ReadAll(c)
		answer = string(raw)
	})
	return answer, err
}

func (w *world) wantAnswer(ns *networktest.Namespace, proto, to, want, why string) {
	w.t.Helper()
	got, err := w.ask(ns, proto, to)
	if err != nil || got != want {
		w.t.Errorf("%s %s: the server saw %q, %v; want %q: %s", proto, to, got, err, want, why)
	}
}

// ping sends one ICMP echo request.
func (w *world) ping(ns *networktest.Namespace, to netip.Addr) (err error) {
	w.t.Helper()
	ns.Do(w.t, func() {
		var c *icmp.PacketConn
		if c, err = icmp.ListenPacket("ip4:icmp", "0.0.0.0"); err != nil {
			return
		}
		defer c.Close()
		request := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: os.Getpid() & 0xffff, Seq: 1}}
		var raw []byte
		if raw, err = request.Marshal(nil); err != nil {
			return
		}
		if _, err = c.WriteTo(raw, &net.IPAddr{IP: to.AsSlice()}); err != nil {
			return
		}
		w.must(c.SetReadDeadline(time.Now().Add(w.patience)))
		_, _, err = c.ReadFrom(make([]byte, 128))
	})
	return err
}

func TestPodsReachEachOther(t *testing.T) {
	w := newWorld(t)
	a, aIP := w.pod("a")
	b, bIP := w.pod("b")
	w.serveTCP(b, ":80")
	if err := w.ping(a, bIP); err != nil {
		t.Errorf("ping: %v", err)
	}
	w.wantAnswer(a, "tcp4", bIP.String()+":80", aIP.String(), "pods see each other's own address")
	w.wantAnswer(w.node, "tcp4", bIP.String()+":80", w.bridge.leases.gateway().String(), "the node is the gateway")
	w.wantAnswer(b, "tcp4", "127.0.0.1:80", "127.0.0.1", "loopback is up")
}

func TestOutsideSeesTheNode(t *testing.T) {
	w := newWorld(t)
	pod, _ := w.pod("a")
	w.serveTCP(w.outside, ":80")
	w.wantAnswer(pod, "tcp4", outsideIP.String()+":80", nodeIP.String(), "the outside has no route to a pod, so the node lends its address")
}

func TestHostPorts(t *testing.T) {
	w := newWorld(t)
	server, _ := w.pod("server",
		network.PortMapping{Protocol: "TCP", HostPort: 8080, ContainerPort: 80},
		network.PortMapping{Protocol: "UDP", HostPort: 8053, ContainerPort: 53},
		network.PortMapping{Protocol: "TCP", HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: 9090, ContainerPort: 80},
		network.PortMapping{Protocol: "TCP", ContainerPort: 81})
	neighbour, _ := w.pod("neighbour")
	w.serveTCP(server, ":80")
	w.serveUDP(server, ":53")
	gateway := w.bridge.leases.gateway().String()

	w.wantAnswer(w.outside, "tcp4", "192.0.2.1:8080", outsideIP.String(), "the source is kept for clients from outside")
	w.wantAnswer(w.outside, "udp4", "192.0.2.1:8053", outsideIP.String(), "UDP as well")
	w.wantAnswer(w.node, "tcp4", "127.0.0.1:8080", gateway, "a process on the node may use localhost")
	w.wantAnswer(w.node, "udp4", "127.0.0.1:8053", gateway, "a process on the node may use localhost")
	w.wantAnswer(w.node, "tcp4", "127.0.0.1:9090", gateway, "a host port may be for localhost only")
	w.wantAnswer(neighbour, "tcp4", "192.0.2.1:8080", gateway, "the answer must come back through the node")
	w.wantAnswer(server, "tcp4", "192.0.2.1:8080", gateway, "a pod may reach itself through its host port")
	if answer, err := w.ask(w.outside, "tcp4", "192.0.2.1:9090"); err == nil {
		t.Errorf("a host port of 127.0.0.1 answered %q from outside", answer)
	}

	w.must(w.bridge.Detach(t.Context(), network.Sandbox{ID: "server"}))
	if answer, err := w.ask(w.outside, "tcp4", "192.0.2.1:8080"); err == nil {
		t.Errorf("the host port of a detached pod answered %q", answer)
	}
	next, nextIP := w.pod("next", network.PortMapping{Protocol: "UDP", HostPort: 8053, ContainerPort: 53})
	w.serveUDP(next, nextIP.String()+":53")
	w.wantAnswer(w.outside, "udp4", "192.0.2.1:8053", outsideIP.String(), "the next owner of a port gets its clients")
}

// The node lets packets from 127.0.0.1 out through the bridge, which must not
// let a pod in (CVE-2020-8558).
func TestPodCanNotReachTheNodesLoopback(t *testing.T) {
	w := newWorld(t)
	pod, _ := w.pod("a")
	w.serveTCP(w.node, "127.0.0.1:10255")
	ns := w.open(pod)
	lo, err := ns.LinkByName("lo")
	w.must(err)
	w.must(ns.AddrDel(lo, &netlink.Addr{IPNet: ipNet(netip.MustParsePrefix("127.0.0.1/8"))})) // so that 127.0.0.1 is routed: what an attacker would do
	w.must(ns.RouteReplace(&netlink.Route{
		Dst: ipNet(netip.MustParsePrefix("127.0.0.1/32")), Gw: w.bridge.leases.gateway().AsSlice(),
	}))
	pod.Do(t, func() { w.must(setSysctl("/proc/sys/net/ipv4/conf/eth0/route_localnet")) })
	w.patience = silence
	if answer, err := w.ask(pod, "tcp4", "127.0.0.1:10255"); err == nil {
		t.Errorf("a service on the node's loopback answered %q", answer)
	}
}

func listTables(t *testing.T, b *Bridge) (names []string) {
	t.Helper()
	c, err := nftables.New(nftables.WithNetNSFd(int(b.netns)))
	if err != nil {
		t.Fatal(err)
	}
	tables, err := c.ListTables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		names = append(names, table.Name)
	}
	return names
}
