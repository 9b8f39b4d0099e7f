package bridge

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/k8s-groundup/groundup/steps/00-container/network"
	"github.com/k8s-groundup/groundup/steps/00-container/network/networktest"
)

func newLeases(t *testing.T, subnet string) *leases {
	t.Helper()
	return &leases{dir: t.TempDir(), subnet: netip.MustParsePrefix(subnet)}
}

func claim(t *testing.T, l *leases, sandbox string) netip.Addr {
	t.Helper()
	got, err := l.claim(lease{Sandbox: sandbox})
	if err != nil {
		t.Fatal(err)
	}
	return got.Address
}

func TestSubnetIsUsedUpToTheLastAddress(t *testing.T) {
	l := newLeases(t, "10.1.0.0/29")
	var got []string
	for i := range 5 {
		got = append(got, claim(t, l, fmt.Sprint(i)).String())
	}
	want := []string{"10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5", "10.1.0.6"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("without network, gateway and broadcast address (-want +got):\n%s", diff)
	}
	if _, err := l.claim(lease{Sandbox: "one too many"}); err == nil || !strings.Contains(err.Error(), "10.1.0.0/29 is full") {
		t.Errorf("got %v; want that the subnet is full", err)
	}
	one, err := l.find("1")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.release(one); err != nil {
		t.Fatal(err)
	}
	if got := claim(t, l, "next").String(); got != "10.1.0.3" {
		t.Errorf("got %s; want the address that was released", got)
	}
}

func TestAddressRestsBeforeItIsUsedAgain(t *testing.T) {
	l := newLeases(t, "10.1.0.0/24")
	first := claim(t, l, "a")
	one, _ := l.find("a")
	if err := l.release(one); err != nil {
		t.Fatal(err)
	}
	if second := claim(t, l, "b"); second == first {
		t.Errorf("got %s again at once; whoever still talks to the old pod would reach the new one", first)
	}
}

func TestClaimAfterACrash(t *testing.T) {
	l := newLeases(t, "10.1.0.0/24")
	had := claim(t, l, "a")
	if err := os.WriteFile(filepath.Join(l.dir, ".lease-123"), []byte("{half"), 0o600); err != nil {
		t.Fatal(err)
	}
	again := &leases{dir: l.dir, subnet: l.subnet}
	if got := claim(t, again, "a"); got != had {
		t.Errorf("got %s; want %s, which the sandbox has had", got, had)
	}
	if got := claim(t, again, "b"); got == had {
		t.Errorf("got %s, which is in use", got)
	}
}

func TestForwardsOf(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::1")
	for _, c := range []struct {
		name string
		in   []network.PortMapping
		want []forward
		err  string
	}{
		{"declared only", []network.PortMapping{{Protocol: "TCP", ContainerPort: 80}}, nil, ""},
		{"TCP by default", []network.PortMapping{{HostPort: 8080, ContainerPort: 80}}, []forward{{Protocol: "TCP", HostPort: 8080, Port: 80}}, ""},
		{"any address", []network.PortMapping{{Protocol: "UDP", HostIP: netip.IPv4Unspecified(), HostPort: 1, ContainerPort: 2}},
			[]forward{{Protocol: "UDP", HostPort: 1, Port: 2}}, ""},
		{"one address", []network.PortMapping{{Protocol: "TCP", HostIP: v4, HostPort: 1, ContainerPort: 2}},
			[]forward{{Protocol: "TCP", HostIP: v4, HostPort: 1, Port: 2}}, ""},
		{"IPv6", []network.PortMapping{{Protocol: "TCP", HostIP: v6, HostPort: 1}}, nil, "[::1]:1/TCP: IPv6 is not supported"},
		{"unknown protocol", []network.PortMapping{{Protocol: "IPX", HostPort: 1}}, nil, "1/IPX: unknown protocol"},
		{"twice", []network.PortMapping{{HostPort: 1, ContainerPort: 2}, {HostPort: 1, ContainerPort: 3}}, nil, "1/TCP is listed twice"},
	} {
		got, err := forwardsOf(c.in)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: got error %v; want %q", c.name, err, c.err)
		}
		if diff := cmp.Diff(c.want, got, cmpopts.EquateComparable(netip.Addr{})); err == nil && diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.name, diff)
		}
	}
}

func TestConflict(t *testing.T) {
	any80 := forward{Protocol: "TCP", HostPort: 80}
	on := func(ip string, f forward) forward { f.HostIP = netip.MustParseAddr(ip); return f }
	for _, c := range []struct {
		name       string
		have, want forward
		taken      bool
	}{
		{"same", any80, any80, true},
		{"every address holds one", any80, on("10.0.0.1", any80), true},
		{"one address holds every", on("10.0.0.1", any80), any80, true},
		{"two addresses", on("10.0.0.1", any80), on("10.0.0.2", any80), false},
		{"other protocol", any80, forward{Protocol: "UDP", HostPort: 80}, false},
		{"other port", any80, forward{Protocol: "TCP", HostPort: 81}, false},
	} {
		if _, got := conflict([]forward{c.have}, []forward{c.want}); got != c.taken {
			t.Errorf("%s: got %v; want %v", c.name, got, c.taken)
		}
	}
}

func TestConfig(t *testing.T) {
	for name, c := range map[string]Config{
		"no state":  {},
		"IPv6":      {State: "/x", Subnet: netip.MustParsePrefix("fd00::/64")},
		"too small": {State: "/x", Subnet: netip.MustParsePrefix("10.0.0.0/31")},
		"long name": {State: "/x", Name: "an-interface-name"},
	} {
		if _, err := c.withDefaults(); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func TestTakenHostPortIsRefused(t *testing.T) {
	w := newWorld(t)
	w.pod("first", network.PortMapping{Protocol: "TCP", HostPort: 80, ContainerPort: 80})
	second := networktest.NewNamespace(t)
	before := w.node.Interfaces(t)
	_, err := w.bridge.Attach(t.Context(), network.Sandbox{ID: "second", Netns: second.Path(),
		PortMappings: []network.PortMapping{{Protocol: "TCP", HostPort: 80, ContainerPort: 80}}})
	if err == nil || !strings.Contains(err.Error(), "host port 80/TCP is taken by pod default/first") {
		t.Errorf("got %v; want that the port is taken, and by whom", err)
	}
	if after := w.node.Interfaces(t); len(after) != len(before) {
		t.Errorf("the refused sandbox left an interface behind: %v", after)
	}
}

func TestSecondProcessTakesOver(t *testing.T) {
	w := newWorld(t)
	server, _ := w.pod("server", network.PortMapping{Protocol: "TCP", HostPort: 8080, ContainerPort: 80})
	w.serveTCP(server, ":80")
	w.must(w.bridge.deleteTable()) // as after a reboot of the node
	w.node.Do(t, func() { w.bridge = newBridge(t, w.bridge.conf) })
	w.wantAnswer(w.outside, "tcp4", "192.0.2.1:8080", outsideIP.String(), "the leases say which host ports are open")
}

func TestRemoveLeavesNothing(t *testing.T) {
	w := newWorld(t)
	before := len(w.node.Interfaces(t)) - 1 // without the bridge
	w.pod("a", network.PortMapping{Protocol: "TCP", HostPort: 8080, ContainerPort: 80})
	if err := w.bridge.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := len(w.node.Interfaces(t)); after != before {
		t.Errorf("got %d interfaces; want %d", after, before)
	}
	if _, err := os.Stat(w.bridge.conf.State); err == nil {
		t.Error("the leases are still there")
	}
	tables := listTables(t, w.bridge)
	if len(tables) != 0 {
		t.Errorf("got nft tables %v; want none", tables)
	}
}
