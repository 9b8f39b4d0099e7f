package net

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/k8s-groundup/groundup/tools/images/toolbox/tool"
)

// IP is ip addr, ip link, ip route and ip neigh, to look at them; ip link set
// DEV up or down; ip addr add ADDRESS dev DEV.
func IP(args []string) error {
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		args = args[1:] // -4, -br and the like: one form is enough
	}
	if len(args) == 0 {
		return errors.New("want addr, link, route or neigh")
	}
	object, rest := args[0], args[1:]
	matches := func(name string) bool { return strings.HasPrefix(name, object) }
	switch {
	case matches("address"), object == "addr":
		if len(rest) == 4 && rest[0] == "add" && rest[2] == "dev" {
			return addAddress(rest[1], rest[3])
		}
		return showLinks(rest, true)
	case matches("link"):
		if len(rest) >= 3 && rest[0] == "set" {
			return setLink(rest[len(rest)-2], rest[len(rest)-1])
		}
		return showLinks(rest, false)
	case matches("route"):
		return showRoutes()
	case matches("neighbour"), matches("neighbor"):
		return showNeighbours()
	}
	return fmt.Errorf("unknown object %q: want addr, link, route or neigh", object)
}

func addAddress(address, device string) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(address)
	if err != nil {
		return err
	}
	return netlink.AddrAdd(link, a)
}

func setLink(device, state string) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	switch state {
	case "up":
		return netlink.LinkSetUp(link)
	case "down":
		return netlink.LinkSetDown(link)
	}
	return fmt.Errorf("want up or down, got %q", state)
}

// showLinks shows all links, or the last word's.
func showLinks(args []string, addresses bool) error {
	links, err := netlink.LinkList()
	if err != nil {
		return err
	}
	only := ""
	if len(args) > 0 && !slices.Contains([]string{"show", "list", "ls"}, args[len(args)-1]) {
		only = args[len(args)-1]
	}
	for _, l := range links {
		a := l.Attrs()
		if only != "" && a.Name != only {
			continue
		}
		name := a.Name
		if a.ParentIndex != 0 {
			name += fmt.Sprintf("@if%d", a.ParentIndex)
		}
		fmt.Fprintf(tool.Out, "%d: %s: <%s> mtu %d state %s\n", a.Index, name, strings.ToUpper(strings.ReplaceAll(a.Flags.String(), "|", ",")), a.MTU, strings.ToUpper(a.OperState.String()))
		fmt.Fprintf(tool.Out, "    link/%s %s\n", a.EncapType, a.HardwareAddr)
		if !addresses {
			continue
		}
		all, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		if err != nil {
			return err
		}
		for _, address := range all {
			family := "inet"
			if address.IP.To4() == nil {
				family = "inet6"
			}
			fmt.Fprintf(tool.Out, "    %s %s scope %s\n", family, address.IPNet, netlink.Scope(address.Scope))
		}
	}
	return nil
}

func showRoutes() error {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, r := range routes {
		words := []string{"default"}
		if ones := 0; r.Dst != nil {
			if ones, _ = r.Dst.Mask.Size(); ones > 0 {
				words[0] = r.Dst.String()
			}
		}
		if r.Gw != nil {
			words = append(words, "via", r.Gw.String())
		}
		if link, err := netlink.LinkByIndex(r.LinkIndex); err == nil {
			words = append(words, "dev", link.Attrs().Name)
		}
		if r.Src != nil {
			words = append(words, "src", r.Src.String())
		}
		fmt.Fprintln(tool.Out, strings.Join(words, " "))
	}
	return nil
}

func showNeighbours() error {
	all, err := netlink.NeighList(0, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, n := range all {
		link, err := netlink.LinkByIndex(n.LinkIndex)
		if err != nil {
			continue // gone meanwhile
		}
		fmt.Fprintf(tool.Out, "%s dev %s lladdr %s\n", n.IP, link.Attrs().Name, n.HardwareAddr)
	}
	return nil
}

// Brctl is brctl addbr NAME, delbr NAME, and show.
func Brctl(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "addbr":
		attrs := netlink.NewLinkAttrs()
		attrs.Name = args[1]
		return netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs})
	case len(args) == 2 && args[0] == "delbr":
		link, err := netlink.LinkByName(args[1])
		if err != nil {
			return err
		}
		return netlink.LinkDel(link)
	}
	links, err := netlink.LinkList()
	if err != nil {
		return err
	}
	for _, l := range links {
		if l.Type() == "bridge" {
			fmt.Fprintln(tool.Out, l.Attrs().Name)
		}
	}
	return nil
}

// Nslookup is nslookup NAME [SERVER]: addresses of a name, or names of an address.
func Nslookup(args []string) error {
	if len(args) == 0 || len(args) > 2 {
		return errors.New("want a name and, maybe, a server")
	}
	resolver := &net.Resolver{PreferGo: true}
	server := "as /etc/resolv.conf says"
	if len(args) == 2 {
		server = args[1]
		resolver.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(args[1], "53"))
		}
	}
	fmt.Fprintf(tool.Out, "Server:\t%s\n\n", server)
	if _, err := netip.ParseAddr(args[0]); err == nil {
		names, err := resolver.LookupAddr(context.Background(), args[0])
		for _, n := range names {
			fmt.Fprintf(tool.Out, "%s\tname = %s\n", args[0], n)
		}
		return err
	}
	addresses, err := resolver.LookupHost(context.Background(), args[0])
	for _, a := range addresses {
		fmt.Fprintf(tool.Out, "Name:\t%s\nAddress: %s\n", args[0], a)
	}
	return err
}

// Netstat is netstat [-l] [-t] [-u] [-n] [-a]: sockets by number, from /proc/net.
func Netstat(args []string) error {
	o, _, err := tool.Parse(args, "ltunap")
	if err != nil {
		return err
	}
	all := !o.Has('t') && !o.Has('u')
	fmt.Fprintf(tool.Out, "%-5s %-28s %-28s %s\n", "Proto", "Local Address", "Foreign Address", "State")
	for _, proto := range []string{"tcp", "tcp6", "udp", "udp6"} {
		if !all && !o.Has(proto[0]) {
			continue
		}
		raw, err := os.ReadFile("/proc/self/net/" + proto)
		if errors.Is(err, os.ErrNotExist) {
			continue // no IPv6 here
		}
		if err != nil {
			return err
		}
		printSockets(o, proto, strings.Split(strings.TrimSpace(string(raw)), "\n")[1:])
	}
	return nil
}

var socketStates = []string{"", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING"}

func printSockets(o tool.Options, proto string, lines []string) {
	for _, line := range lines {
		w := strings.Fields(line)
		state, err := strconv.ParseInt(w[3], 16, 32)
		if err != nil || int(state) >= len(socketStates) {
			continue
		}
		listens := socketStates[state] == "LISTEN" || proto[0] == 'u' && socketStates[state] == "CLOSE"
		if listens != o.Has('l') && !o.Has('a') {
			continue
		}
		name := socketStates[state]
		if proto[0] == 'u' {
			name = ""
		}
		fmt.Fprintf(tool.Out, "%-5s %-28s %-28s %s\n", proto, socketAddress(w[1]), socketAddress(w[2]), name)
	}
}

// socketAddress reads the kernel's notation: words of four bytes in the
// machine's order, and the port.
func socketAddress(text string) string {
	host, portText, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	port, portErr := strconv.ParseUint(portText, 16, 16)
	if err != nil || portErr != nil || len(raw)%4 != 0 {
		return text
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	address, _ := netip.AddrFromSlice(raw)
	if port == 0 {
		return net.JoinHostPort(address.String(), "*")
	}
	return netip.AddrPortFrom(address, uint16(port)).String()
}
