package validation

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

var spec = field.NewPath("spec")

// Service checks a service.
func Service(s *corev1.Service) field.ErrorList {
	f := &findings{}
	f.meta(&s.ObjectMeta, apivalidation.NameIsDNSLabel)
	f.service(s, &corev1.Service{})
	return f.list
}

// ClusterIPs checks what a service says of its addresses and their families. It is asked
// before any is given out, and who has contradicted himself is told of nothing else.
func ClusterIPs(s, old *corev1.Service) field.ErrorList {
	f := &findings{}
	var before []string
	if old != nil {
		before = old.Spec.ClusterIPs
	}
	f.clusterIPs(s, before)
	return f.list
}

func headless(s *corev1.Service) bool {
	return len(s.Spec.ClusterIPs) == 1 && s.Spec.ClusterIPs[0] == corev1.ClusterIPNone
}

func balanced(s *corev1.Service) bool { return s.Spec.Type == corev1.ServiceTypeLoadBalancer }

// service checks a service that was old before. Addresses that were there in a
// spelling that is no longer accepted may stay.
func (f *findings) service(s, old *corev1.Service) {
	f.hints(s.Annotations)
	if len(s.Spec.Ports) == 0 && !headless(s) && s.Spec.Type != corev1.ServiceTypeExternalName {
		f.required(spec.Child("ports"), "")
	}
	f.serviceType(s)
	names := sets.New[string]()
	for i := range s.Spec.Ports {
		f.servicePort(&s.Spec.Ports[i], len(s.Spec.Ports) > 1, names, spec.Child("ports").Index(i))
	}
	f.labels(spec.Child("selector"), s.Spec.Selector)
	f.sessionAffinity(&s.Spec)
	f.clusterIPs(s, old.Spec.ClusterIPs)
	for i, ip := range s.Spec.ExternalIPs {
		at := spec.Child("externalIPs").Index(i)
		if bad := validation.IsValidIPForLegacyField(at, ip, strict, old.Spec.ExternalIPs); len(bad) > 0 {
			f.add(bad)
		} else {
			f.endpointIP(ip, at)
		}
	}
	oneOf(f, spec.Child("type"), s.Spec.Type, corev1.ServiceTypeClusterIP, corev1.ServiceTypeExternalName,
		corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort)
	f.nodePorts(&s.Spec)
	f.samePorts(s.Spec.Ports)
	f.sourceRanges(s, old)
	f.balancer(s)
	f.externalTraffic(&s.Spec)
	f.internalTraffic(&s.Spec)
}

// hints: two annotations for one thing have to agree.
func (f *findings) hints(annotations map[string]string) {
	hints, hinted := annotations[corev1.DeprecatedAnnotationTopologyAwareHints]
	mode, has := annotations[corev1.AnnotationTopologyMode]
	if hinted && has && mode != hints {
		f.invalid(metadata.Child("annotations").Key(corev1.AnnotationTopologyMode), mode,
			fmt.Sprintf("must match annotations[%s] when both are specified", corev1.DeprecatedAnnotationTopologyAwareHints))
	}
}

func (f *findings) serviceType(s *corev1.Service) {
	switch s.Spec.Type {
	case corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort:
		if headless(s) {
			f.invalid(spec.Child("clusterIPs").Index(0), s.Spec.ClusterIPs[0], fmt.Sprintf("may not be set to 'None' for %s services", s.Spec.Type))
		}
	case corev1.ServiceTypeExternalName:
		for _, set := range []struct {
			field string
			is    bool
		}{{"clusterIPs", len(s.Spec.ClusterIPs) > 0}, {"ipFamilies", len(s.Spec.IPFamilies) > 0}, {"ipFamilyPolicy", s.Spec.IPFamilyPolicy != nil}} {
			if set.is {
				f.forbidden(spec.Child(set.field), "may not be set for ExternalName services")
			}
		}
		if name := strings.TrimSuffix(s.Spec.ExternalName, "."); name == "" {
			f.required(spec.Child("externalName"), "")
		} else {
			f.invalid(spec.Child("externalName"), name, validation.IsDNS1123Subdomain(name)...)
		}
	}
}

func (f *findings) servicePort(port *corev1.ServicePort, named bool, names sets.Set[string], p *field.Path) {
	switch {
	case port.Name == "" && named:
		f.required(p.Child("name"), "")
	case port.Name != "":
		f.label(p.Child("name"), port.Name)
		if names.Has(port.Name) {
			f.duplicate(p.Child("name"), port.Name)
		}
		names.Insert(port.Name)
	}
	f.invalid(p.Child("port"), port.Port, validation.IsValidPortNum(int(port.Port))...)
	oneOf(f, p.Child("protocol"), port.Protocol, protocols...)
	f.portOrName(port.TargetPort, p.Child("targetPort"))
	if port.AppProtocol != nil {
		f.qualified(p.Child("appProtocol"), *port.AppProtocol)
	}
}

func (f *findings) portOrName(port intstr.IntOrString, p *field.Path) {
	if port.Type == intstr.Int {
		f.invalid(p, port.IntValue(), validation.IsValidPortNum(port.IntValue())...)
		return
	}
	f.invalid(p, port.StrVal, validation.IsValidPortName(port.StrVal)...)
}

const day = 86400 // seconds

func (f *findings) sessionAffinity(s *corev1.ServiceSpec) {
	oneOf(f, spec.Child("sessionAffinity"), s.SessionAffinity, corev1.ServiceAffinityClientIP, corev1.ServiceAffinityNone)
	p, conf := spec.Child("sessionAffinityConfig"), s.SessionAffinityConfig
	if s.SessionAffinity == corev1.ServiceAffinityNone && conf != nil {
		f.forbidden(p, "must not be set when session affinity is None")
	}
	if s.SessionAffinity != corev1.ServiceAffinityClientIP {
		return
	}
	const why = "when session affinity type is ClientIP"
	switch timeout := p.Child("clientIP", "timeoutSeconds"); {
	case conf == nil:
		f.required(p, why)
	case conf.ClientIP == nil:
		f.required(p.Child("clientIP"), why)
	case conf.ClientIP.TimeoutSeconds == nil:
		f.required(timeout, why)
	case *conf.ClientIP.TimeoutSeconds <= 0 || *conf.ClientIP.TimeoutSeconds > day:
		f.invalid(timeout, conf.ClientIP.TimeoutSeconds, fmt.Sprintf("must be greater than 0 and less than %d", day))
	}
}

// clusterIPs checks the addresses of a service, of which clusterIP repeats the
// first, against its families.
func (f *findings) clusterIPs(s *corev1.Service, before []string) {
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		return
	}
	p, ips := spec.Child("clusterIPs"), s.Spec.ClusterIPs
	switch first := s.Spec.ClusterIP; {
	case first != "" && len(ips) == 0:
		f.required(p, "")
	case first != "" && ips[0] != first:
		f.invalid(p, ips, "first value must match `clusterIP`")
	case first == "" && len(ips) > 0:
		f.invalid(p, ips, "must be empty when `clusterIP` is not specified")
	}
	f.families(&s.Spec)
	good := f.wellFormed(ips, before, p)
	if len(ips) > 2 {
		f.invalid(p, ips, "may only hold up to 2 values")
	}
	if !good {
		return
	}
	if len(ips) > 1 && !dualStack(ips) {
		f.invalid(p, ips, "may specify no more than one IP for each IP family")
	}
	for i := range min(len(ips), len(s.Spec.IPFamilies)) {
		want, is := s.Spec.IPFamilies[i], family(ips[i])
		if !headless(s) && want != is && (want == corev1.IPv4Protocol || want == corev1.IPv6Protocol) {
			f.invalid(p.Index(i), ips[i], fmt.Sprintf("expected an %s value as indicated by `ipFamilies[%d]`", want, i))
		}
	}
}

func family(ip string) corev1.IPFamily {
	if netutils.IsIPv6String(ip) {
		return corev1.IPv6Protocol
	}
	return corev1.IPv4Protocol
}

func (f *findings) wellFormed(ips, before []string, p *field.Path) bool {
	errors := len(f.list)
	for i, ip := range ips {
		if i > 0 || ip != corev1.ClusterIPNone {
			f.add(validation.IsValidIPForLegacyField(p.Index(i), ip, strict, before))
		} else if len(ips) > 1 {
			f.invalid(p, ips, "'None' must be the first and only value")
		}
	}
	return len(f.list) == errors
}

func (f *findings) families(s *corev1.ServiceSpec) {
	p := spec.Child("ipFamilies")
	for i, ip := range s.IPFamilies {
		someOf(f, p.Index(i), ip, corev1.IPv4Protocol, corev1.IPv6Protocol)
		if slices.Contains(s.IPFamilies[:i], ip) {
			f.duplicate(p.Index(i), ip)
		}
	}
	if s.IPFamilyPolicy != nil {
		someOf(f, spec.Child("ipFamilyPolicy"), *s.IPFamilyPolicy,
			corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack, corev1.IPFamilyPolicySingleStack)
	}
}

func (f *findings) nodePorts(s *corev1.ServiceSpec) {
	type key struct {
		protocol corev1.Protocol
		port     int32
	}
	seen := sets.New[key]()
	if s.Type == corev1.ServiceTypeClusterIP {
		for i, port := range s.Ports {
			if port.NodePort != 0 {
				f.forbidden(spec.Child("ports").Index(i).Child("nodePort"), "may not be used when `type` is 'ClusterIP'")
			}
		}
	}
	for i, port := range s.Ports {
		k := key{port.Protocol, port.NodePort}
		if port.NodePort != 0 && seen.Has(k) {
			f.duplicate(spec.Child("ports").Index(i).Child("nodePort"), port.NodePort)
		}
		seen.Insert(k)
	}
}

func (f *findings) samePorts(ports []corev1.ServicePort) {
	seen := sets.New[corev1.ServicePort]()
	for i, port := range ports {
		key := corev1.ServicePort{Protocol: port.Protocol, Port: port.Port}
		if seen.Has(key) {
			f.duplicate(spec.Child("ports").Index(i), inside{key})
		}
		seen.Insert(key)
	}
}

const onlyBalanced = "may only be used when `type` is 'LoadBalancer'"

func (f *findings) sourceRanges(s, old *corev1.Service) {
	p, ranges := spec.Child("LoadBalancerSourceRanges"), s.Spec.LoadBalancerSourceRanges
	value, annotated := s.Annotations[corev1.AnnotationLoadBalancerSourceRangesKey]
	if len(ranges) == 0 && !annotated {
		return
	}
	var before []string
	for _, r := range old.Spec.LoadBalancerSourceRanges {
		before = append(before, strings.TrimSpace(r))
	}
	at := p.Index
	if len(ranges) == 0 {
		p = metadata.Child("annotations").Key(corev1.AnnotationLoadBalancerSourceRangesKey)
		at = func(int) *field.Path { return p }
		if value = strings.TrimSpace(value); value != "" && value != strings.TrimSpace(old.Annotations[corev1.AnnotationLoadBalancerSourceRangesKey]) {
			ranges = strings.Split(value, ",")
		}
	}
	if !balanced(s) {
		f.forbidden(p, onlyBalanced)
	}
	for i, r := range ranges {
		f.add(validation.IsValidCIDRForLegacyField(at(i), strings.TrimSpace(r), strict, before))
	}
}

func (f *findings) balancer(s *corev1.Service) {
	switch p, allocate := spec.Child("allocateLoadBalancerNodePorts"), s.Spec.AllocateLoadBalancerNodePorts; {
	case allocate != nil && !balanced(s):
		f.forbidden(p, onlyBalanced)
	case allocate == nil && balanced(s):
		f.required(field.NewPath("allocateLoadBalancerNodePorts"), "")
	}
	switch p, class := spec.Child("loadBalancerClass"), s.Spec.LoadBalancerClass; {
	case class != nil && !balanced(s):
		f.forbidden(p, onlyBalanced)
	case class != nil:
		f.qualified(p, *class)
	}
}

func (f *findings) externalTraffic(s *corev1.ServiceSpec) {
	policy, port := spec.Child("externalTrafficPolicy"), spec.Child("healthCheckNodePort")
	external := s.Type == corev1.ServiceTypeLoadBalancer || s.Type == corev1.ServiceTypeNodePort ||
		s.Type == corev1.ServiceTypeClusterIP && len(s.ExternalIPs) > 0
	switch {
	case external:
		oneOf(f, policy, s.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal)
	case s.ExternalTrafficPolicy != "":
		f.invalid(policy, s.ExternalTrafficPolicy, "may only be set for externally-accessible services")
	}
	switch checked := healthChecked(s); {
	case !checked && s.HealthCheckNodePort != 0:
		f.invalid(port, s.HealthCheckNodePort, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'")
	case checked && s.HealthCheckNodePort != 0:
		f.invalid(port, s.HealthCheckNodePort, validation.IsValidPortNum(int(s.HealthCheckNodePort))...)
	}
}

// healthChecked: a load balancer asks the nodes whether they have endpoints. (The
// port on which they answer is allocated where services get their addresses; here
// it may be missing.)
func healthChecked(s *corev1.ServiceSpec) bool {
	return s.Type == corev1.ServiceTypeLoadBalancer && s.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

func (f *findings) internalTraffic(s *corev1.ServiceSpec) {
	p := spec.Child("internalTrafficPolicy")
	if s.InternalTrafficPolicy != nil {
		someOf(f, p, *s.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal)
	} else if s.Type == corev1.ServiceTypeNodePort || s.Type == corev1.ServiceTypeLoadBalancer || s.Type == corev1.ServiceTypeClusterIP {
		f.required(p, "")
	}
	if s.TrafficDistribution != nil {
		someOf(f, spec.Child("trafficDistribution"), *s.TrafficDistribution, corev1.ServiceTrafficDistributionPreferClose,
			corev1.ServiceTrafficDistributionPreferSameZone, corev1.ServiceTrafficDistributionPreferSameNode)
	}
}
