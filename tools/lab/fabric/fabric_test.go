package fabric

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/google/nftables"
	"github.com/k8s-groundup/groundup/tools/lab/thread"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		name  string
		taken []string
		want  string
	}{
		{"a free machine", nil, "10.89.0.0/24"},
		{"the nodes' network is taken", []string{"10.89.0.0/16"}, "172.29.89.0/24"},
		{"the pods' network is taken", []string{"10.244.7.0/24"}, "172.29.89.0/24"},
		{"a company that routes all of 10/8 and 172.16/12", []string{"10.0.0.0/8", "172.16.0.0/12"}, ""},
	} {
		var taken []netip.Prefix
		for _, s := range c.taken {
			taken = append(taken, netip.MustParsePrefix(s))
		}
		plan, err := choose(taken)
		if c.want == "" {
			if err == nil {
				t.Errorf("%s: got %v, want an error", c.name, plan)
			}
		} else if err != nil || plan.Nodes.String() != c.want {
			t.Errorf("%s: got %v, %v, want %s", c.name, plan.Nodes, err, c.want)
		}
	}
}

// TestFabric makes everything twice and removes it twice, in a network
// namespace of its own.
func TestFabric(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("making network namespaces needs root: run `sudo go test`; CI does")
	}
	if err := thread.Run(func() error { return fabricInNamespace(t) }); err != nil {
		t.Fatal(err)
	}
}

func fabricInNamespace(t *testing.T) error {
	ns, err := netns.New()
	if err != nil {
		return err
	}
	defer ns.Close()
	plan, err := Choose()
	if err != nil {
		return err
	}
	node := exec.Command("sleep", "1000")
	node.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	if err := node.Start(); err != nil {
		return err
	}
	defer func() { node.Process.Kill(); node.Wait() }()
	// A new namespace forwards if the machine does.
	if err := os.WriteFile(forwardFile, []byte("0"), 0); err != nil {
		return err
	}
	if on, err := Forwards(); err != nil || on {
		return fmt.Errorf("forwarding has been turned off, and is on: %v, %w", on, err)
	}
	for range 2 {
		if err := Ensure(plan); err != nil {
			return err
		}
		if err := Connect(plan, 1, "node-1", node.Process.Pid); err != nil {
			return err
		}
	}
	if err := expectConnected(t, plan, node.Process.Pid); err != nil {
		return err
	}
	if on, err := Forwards(); err != nil || !on {
		return fmt.Errorf("it forwards: %v, %w", on, err)
	}
	if err := errors.Join(Disconnect(plan, 1, "node-1"), Disconnect(plan, 1, "node-1"), Disconnect(Plan{}, 1, "node-1"), Remove(true), Remove(true)); err != nil {
		return err
	}
	links, err := netlink.LinkList()
	if err != nil {
		return err
	}
	for _, l := range links {
		if strings.HasPrefix(l.Attrs().Name, "gu") {
			t.Errorf("interface %s is left", l.Attrs().Name)
		}
	}
	c, err := nftables.New()
	if err != nil {
		return err
	}
	tables, err := c.ListTables()
	if err != nil {
		return err
	}
	for _, tab := range tables {
		t.Errorf("nft table %s is left", tab.Name)
	}
	return nil
}

func expectConnected(t *testing.T, plan Plan, pid int) error {
	link, err := netlink.LinkByName(cable("node-1"))
	if err != nil {
		return err
	}
	if link.Attrs().MasterIndex == 0 {
		t.Error("the cable is not plugged into the bridge")
	}
	route, err := netlink.RouteGet(plan.PodCIDR(1).Addr().Next().AsSlice())
	if err != nil {
		return err
	}
	if got, want := route[0].Gw.String(), plan.Node(1).String(); got != want {
		t.Errorf("the way to node-1's pods goes by %s, want %s", got, want)
	}
	inside, err := netns.GetFromPid(pid)
	if err != nil {
		return err
	}
	defer inside.Close()
	h, err := netlink.NewHandleAt(inside)
	if err != nil {
		return err
	}
	defer h.Close()
	eth0, err := h.LinkByName("eth0")
	if err != nil {
		return err
	}
	addrs, err := h.AddrList(eth0, unix.AF_INET)
	if err != nil {
		return err
	}
	if len(addrs) != 1 || addrs[0].IP.String() != plan.Node(1).String() {
		t.Errorf("eth0 has addresses %v, want %s", addrs, plan.Node(1))
	}
	return nil
}
