package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// Endpoints checks endpoints.
func Endpoints(e *corev1.Endpoints) field.ErrorList {
	f := &findings{}
	f.meta(&e.ObjectMeta, apivalidation.NameIsDNSSubdomain)
	f.subsets(e.Subsets, field.NewPath("subsets"))
	return f.list
}

// EndpointsUpdate does not mind subsets that were as bad before.
func EndpointsUpdate(e, old *corev1.Endpoints) field.ErrorList {
	f := &findings{}
	f.metaUpdate(&e.ObjectMeta, &old.ObjectMeta)
	f.meta(&e.ObjectMeta, apivalidation.NameIsDNSSubdomain)
	if !equality.Semantic.DeepEqual(e.Subsets, old.Subsets) {
		f.subsets(e.Subsets, field.NewPath("subsets"))
	}
	return f.list
}

func (f *findings) subsets(subsets []corev1.EndpointSubset, p *field.Path) {
	for i, s := range subsets {
		at := p.Index(i)
		if len(s.Addresses)+len(s.NotReadyAddresses) == 0 {
			f.required(at, "must specify `addresses` or `notReadyAddresses`")
		}
		for j := range s.Addresses {
			f.endpointAddress(&s.Addresses[j], at.Child("addresses").Index(j))
		}
		for j := range s.NotReadyAddresses {
			f.endpointAddress(&s.NotReadyAddresses[j], at.Child("notReadyAddresses").Index(j))
		}
		for j, port := range s.Ports {
			f.endpointPort(port, len(s.Ports) > 1, at.Child("ports").Index(j))
		}
	}
}

func (f *findings) endpointAddress(a *corev1.EndpointAddress, p *field.Path) {
	f.add(validation.IsValidIPForLegacyField(p.Child("ip"), a.IP, strict, nil))
	if a.Hostname != "" {
		f.label(p.Child("hostname"), a.Hostname)
	}
	if a.NodeName != nil {
		f.subdomain(p.Child("nodeName"), *a.NodeName)
	}
	f.endpointIP(a.IP, p.Child("ip"))
}

// endpointIP refuses addresses that mean something else on every machine: who
// writes endpoints could otherwise reach what listens on a node for itself.
func (f *findings) endpointIP(address string, p *field.Path) {
	ip := netutils.ParseIPSloppy(address)
	if ip == nil {
		f.invalid(p, address, "must be a valid IP address")
		return
	}
	for _, bad := range []struct {
		is  bool
		why string
	}{
		{ip.IsUnspecified(), fmt.Sprintf("may not be unspecified (%v)", address)},
		{ip.IsLoopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)"},
		{ip.IsLinkLocalUnicast(), "may not be in the link-local range (169.254.0.0/16, fe80::/10)"},
		{ip.IsLinkLocalMulticast(), "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"},
	} {
		if bad.is {
			f.invalid(p, address, bad.why)
		}
	}
}

var protocols = []corev1.Protocol{corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP}

// endpointPort wants ports to have names where there are several.
func (f *findings) endpointPort(port corev1.EndpointPort, named bool, p *field.Path) {
	if port.Name != "" {
		f.label(p.Child("name"), port.Name)
	} else if named {
		f.required(p.Child("name"), "")
	}
	f.invalid(p.Child("port"), port.Port, validation.IsValidPortNum(int(port.Port))...)
	oneOf(f, p.Child("protocol"), port.Protocol, protocols...)
	if port.AppProtocol != nil {
		f.qualified(p.Child("appProtocol"), *port.AppProtocol)
	}
}
