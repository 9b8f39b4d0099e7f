// Package host makes this machine itself a node: nothing is boxed.
//
// It is what a node is anywhere else, a virtual machine, a server, a playground:
// the kubelet is a service of the machine's own init where that is systemd, and a
// supervised process where it is not; its files are in /etc/kubernetes and
// /var/lib/kubelet, its cgroups at the root. So the machine must be one's own:
// [Claim] refuses one on which somebody else's node has left something, and
// because all that it claims did not exist before, [Remove] may take all of it
// away.
package host

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/k8s-groundup/groundup/tools/lab/initd"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Programs is where a node finds the programs and images of its step, below bin
// and images: a link to the cluster's home.
const Programs = "/opt/groundup"

// claims are the paths that a node uses and that are its own.
var claims = []string{
	Programs, "/etc/kubernetes", "/etc/groundup", "/var/lib/kubelet", "/var/lib/etcd", "/var/lib/groundup/runtime",
	"/var/log/pods", "/var/log/containers", "/run/groundup", filepath.Dir(initd.StatusFile),
}

// A Supervisor keeps the services of this machine running.
type Supervisor interface {
	// Apply makes services the whole set: what has changed is restarted, what is
	// missing stopped, the rest left alone.
	Apply(services []initd.Service) error
	// Running says whether it has been given services, in this boot.
	Running() bool
	Services() ([]initd.Status, error)
	// Stop ends every service and forgets them. It may be called again.
	Stop() error
}

// NewSupervisor returns systemd where that is process 1, and else a process of
// ours, which is started from the folder of programs and leaves its own output
// in home.
func NewSupervisor(home string) Supervisor {
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		return Systemd{Dir: "/etc/systemd/system"}
	}
	return Init{Home: home}
}

// Claimed says whether this machine is the node of the cluster in home.
func Claimed(home string) bool {
	target, err := os.Readlink(Programs)
	return err == nil && target == home
}

// Claim makes the paths of a node this cluster's, or says who has them already.
// It may be called again; home may hold anything.
func Claim(home string) error {
	if Claimed(home) {
		return nil
	}
	for _, path := range claims {
		if strings.HasPrefix(path, home+"/") {
			continue
		}
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("this machine has %s already: it is, or was, somebody's node. A node of ours wants a machine of its own; "+
				"`lab up --on local` puts one in a box instead", path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(Programs), 0o755); err != nil {
		return err
	}
	return os.Symlink(home, Programs)
}

// Has says whether an address is one of this machine's.
func Has(ip string) (bool, error) {
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return false, fmt.Errorf("list addresses: %w", err)
	}
	return slices.ContainsFunc(addrs, func(a netlink.Addr) bool { return a.IP.Equal(net.ParseIP(ip)) }), nil
}

// Address is this machine's IPv4 address: that of the interface with the default
// route, or else the only one that is not of the loopback interface.
func Address() (string, error) {
	routes, err := netlink.RouteListFiltered(unix.AF_INET, &netlink.Route{Dst: nil}, netlink.RT_FILTER_DST)
	if err != nil {
		return "", fmt.Errorf("list routes: %w", err)
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return "", fmt.Errorf("list addresses: %w", err)
	}
	ip := choose(routes, addrs)
	if ip == nil {
		return "", errors.New("this machine has no address that others reach, or several: name one by --address")
	}
	return ip.String(), nil
}

func choose(routes []netlink.Route, addrs []netlink.Addr) net.IP {
	var all []net.IP
	for _, a := range addrs {
		if !a.IP.IsGlobalUnicast() {
			continue
		}
		for _, r := range routes {
			if r.LinkIndex == a.LinkIndex {
				return a.IP
			}
		}
		all = append(all, a.IP)
	}
	if len(all) == 1 {
		return all[0]
	}
	return nil
}
