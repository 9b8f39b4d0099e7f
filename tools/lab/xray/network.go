package xray

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// networkFact shows the pod's interface, its other end in the node, and what
// that is plugged into.
func networkFact(nodeInit, sandbox, nodePID int) (Fact, error) {
	inPod, closePod, err := handle(sandbox)
	if err != nil {
		return Fact{}, err
	}
	defer closePod()
	inNode, closeNode, err := handle(nodeInit)
	if err != nil {
		return Fact{}, err
	}
	defer closeNode()
	links, err := inPod.LinkList()
	if err != nil {
		return Fact{}, fmt.Errorf("interfaces of process %d: %w", sandbox, err)
	}
	enter := fmt.Sprintf("nsenter -n -t %d ip ", nodePID)
	f := Fact{Name: "network", Value: "the interfaces in the sandbox's net namespace", Proof: enter + "addr"}
	for _, l := range links {
		addrs, err := inPod.AddrList(l, netlink.FAMILY_V4)
		if err != nil {
			return Fact{}, err
		}
		value := ""
		for _, a := range addrs {
			value += a.IPNet.String() + " "
		}
		if _, veth := l.(*netlink.Veth); veth {
			if peer, err := inNode.LinkByIndex(l.Attrs().ParentIndex); err == nil {
				value += fmt.Sprintf("═══ %s in the node", peer.Attrs().Name)
				if bridge, err := inNode.LinkByIndex(peer.Attrs().MasterIndex); err == nil {
					value += ", a port of bridge " + bridge.Attrs().Name
				}
			}
		}
		f.Facts = append(f.Facts, Fact{Name: l.Attrs().Name, Value: value, Proof: enter + "-d link show " + l.Attrs().Name})
	}
	routes, err := inPod.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return Fact{}, err
	}
	for _, r := range routes {
		if r.Dst == nil || r.Dst.IP.IsUnspecified() {
			f.Facts = append(f.Facts, Fact{Name: "default", Value: "via " + r.Gw.String(), Proof: enter + "route"})
		}
	}
	return f, nil
}

func handle(pid int) (*netlink.Handle, func(), error) {
	ns, err := netns.GetFromPid(pid)
	if err != nil {
		return nil, nil, fmt.Errorf("network namespace of process %d: %w", pid, err)
	}
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		ns.Close()
		return nil, nil, err
	}
	return h, func() { h.Close(); ns.Close() }, nil
}
