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
		if err := Ensure("/home/a", plan); err != nil {
			return err
		}
		if err := Connect("/home/a", plan, 1, "node-1", node.Process.Pid); err != nil {
			return err
		}
	}
	if err := expectConnected(t, plan, node.Process.Pid); err != nil {
		return err
	}
	if on, err := Forwards(); err != nil || !on {
		return fmt.Errorf("it forwards: %v, %w", on, err)
	}
	if err := anotherOwner(t, plan, node.Process.Pid); err != nil {
		return err
	}
	if err := errors.Join(Disconnect("/home/a", plan, 1, "node-1"), Disconnect("/home/a", plan, 1, "node-1"), Disconnect("/home/a", Plan{}, 1, "node-1"), Remove("/home/a", true), Remove("/home/a", true)); err != nil {
		return err
	}
	if on, err := Forwards(); err != nil || on {
		return fmt.Errorf("forwarding was off, and is on: %v, %w", on, err)
	}
	// After a reboot, forwarding is somebody else's.
	if err := os.WriteFile(forwardFile, []byte("1"), 0); err != nil {
		return err
	}
	if err := Remove("/home/a", true); err != nil {
		return err
	}
	if on, err := Forwards(); err != nil || !on {
		return fmt.Errorf("where no bridge was, forwarding has been turned off: %v, %w", on, err)
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

// anotherOwner holds that a cluster with another home does nothing to this one.
func anotherOwner(t *testing.T, plan Plan, pid int) error {
	other, err := Choose()
	if err != nil {
		return err
	}
	if err := Ensure("/home/b", other); err == nil || !strings.Contains(err.Error(), "GROUNDUP_HOME=/home/a") {
		t.Errorf("a second cluster: got %v, want an error that says how to remove the first", err)
	}
	if err := errors.Join(Disconnect("/home/b", other, 1, "node-1"), Remove("/home/b", true)); err != nil {
		return err
	}
	if on, err := Forwards(); err != nil || !on {
		return fmt.Errorf("it forwards no more: %v, %w", on, err)
	}
	return expectConnected(t, plan, pid)
}

func TestOwns(t *testing.T) {
	long := "/" + strings.Repeat("x", 300)
	for _, c := range []struct{ name, owner, kind, alias, want string }{
		{"ours", "/home/a", "bridge", "groundup /home/a", ""},
		{"made by a lab that was killed", "/home/a", "bridge", "", ""},
		{"a long name", long, "bridge", alias(long), ""},
		{"another cluster's", "/home/a", "bridge", "groundup /home/ab", "`GROUNDUP_HOME=/home/ab lab down`"},
		{"somebody else's bridge", "/home/a", "bridge", "guests", "not ours"},
		{"no bridge", "/home/a", "dummy", "", "not ours"},
	} {
		err := owns(c.owner, c.kind, c.alias)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
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
