package addressing

import (
	"encoding/binary"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
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

// families says which families a service has. There is one range here, and so
// one family; only a service that has no address of its own, and whose endpoints
// somebody else writes, may have both.
func families(s *corev1.Service, r netip.Prefix) {
	family, other := corev1.IPv4Protocol, corev1.IPv6Protocol
	if r.Addr().Is6() {
		family, other = other, family
	}
	anybody := s.Spec.ClusterIP == corev1.ClusterIPNone && len(s.Spec.Selector) == 0
	policy := corev1.IPFamilyPolicySingleStack
	if anybody {
		policy = corev1.IPFamilyPolicyRequireDualStack
	}
	if s.Spec.IPFamilyPolicy == nil {
		s.Spec.IPFamilyPolicy = &policy
	}
	if len(s.Spec.IPFamilies) > 0 {
		return
	}
	s.Spec.IPFamilies = []corev1.IPFamily{family}
	if anybody && *s.Spec.IPFamilyPolicy != corev1.IPFamilyPolicySingleStack {
		s.Spec.IPFamilies = append(s.Spec.IPFamilies, other)
	}
}
