package addressing

import (
	"encoding/binary"
	"net/netip"
)

// size is how many addresses of a range can be given out: not that of the network itself, and
// not the last, which is for broadcasts. No more than 65535 of a larger range are used.
func size(r netip.Prefix) int {
	bits := r.Addr().BitLen() - r.Bits()
	if bits > 16 {
		return 1<<16 - 1
	}
	return max(1<<bits-2, 0)
}

// usable: an address of the range that is neither the network's own nor, of
// version 4, the one for broadcasts.
func usable(r netip.Prefix, a netip.Addr) bool {
	if !r.Contains(a) || a == r.Masked().Addr() {
		return false
	}
	return a.Is6() || r.Contains(a.Next())
}

// nth is an address of the range; 0 is that of the network.
func nth(r netip.Prefix, n int) netip.Addr {
	bytes := r.Masked().Addr().As16()
	low := binary.BigEndian.Uint64(bytes[8:])
	binary.BigEndian.PutUint64(bytes[8:], low+uint64(n))
	address := netip.AddrFrom16(bytes)
	if r.Addr().Is4() {
		return address.Unmap()
	}
	return address
}
