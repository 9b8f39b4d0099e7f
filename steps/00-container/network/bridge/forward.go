package bridge

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/steps/00-container/network"
)

// A forward is a host port. The zero HostIP stands for every address of the node.
type forward struct {
	Protocol string     `json:"protocol"`
	HostIP   netip.Addr `json:"hostIP"`
	HostPort uint16     `json:"hostPort"`
	Port     uint16     `json:"port"`
}

var protocols = map[string]byte{"TCP": unix.IPPROTO_TCP, "UDP": unix.IPPROTO_UDP, "SCTP": unix.IPPROTO_SCTP}

// forwardsOf leaves out ports that a pod only declares, with host port 0.
func forwardsOf(mappings []network.PortMapping) ([]forward, error) {
	var out []forward
	for _, m := range mappings {
		if m.HostPort == 0 {
			continue
		}
		f := forward{Protocol: cmp.Or(m.Protocol, "TCP"), HostPort: m.HostPort, Port: m.ContainerPort}
		if m.HostIP.IsValid() && !m.HostIP.IsUnspecified() {
			f.HostIP = m.HostIP.Unmap()
		}
		switch {
		case protocols[f.Protocol] == 0:
			return nil, fmt.Errorf("host port %s: unknown protocol", f)
		case f.HostIP.Is6():
			return nil, fmt.Errorf("host port %s: IPv6 is not supported by the bridge", f)
		}
		if p, taken := conflict(out, []forward{f}); taken {
			return nil, fmt.Errorf("host port %s is listed twice", p)
		}
		out = append(out, f)
	}
	return out, nil
}

func (f forward) String() string {
	if !f.HostIP.IsValid() {
		return fmt.Sprintf("%d/%s", f.HostPort, f.Protocol)
	}
	return fmt.Sprintf("%s/%s", netip.AddrPortFrom(f.HostIP, f.HostPort), f.Protocol)
}

// conflict finds a port of want that is taken by one of have. A port of every
// address conflicts with that port of any.
func conflict(have, want []forward) (forward, bool) {
	for _, w := range want {
		for _, h := range have {
			samePort := h.Protocol == w.Protocol && h.HostPort == w.HostPort
			if samePort && (h.HostIP == w.HostIP || !h.HostIP.IsValid() || !w.HostIP.IsValid()) {
				return w, true
			}
		}
	}
	return forward{}, false
}

// A target is a host port with the address that it leads to.
type target struct {
	forward
	to netip.Addr
}

// targets lists the host ports of all leases, always in the same order.
func targets(all []lease) []target {
	var out []target
	for _, l := range all {
		for _, f := range l.Ports {
			out = append(out, target{f, l.Address})
		}
	}
	slices.SortFunc(out, func(a, b target) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.HostPort, b.HostPort), a.HostIP.Compare(b.HostIP))
	})
	return out
}
