package addressing

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ports gives a node port to each port that has none. A service may use one for several
// protocols.
func (g *giving) ports(s *corev1.Service) (bad field.ErrorList) {
	own := map[int32]corev1.Protocol{}
	for i := range s.Spec.Ports {
		p, at := &s.Spec.Ports[i], spec.Child("ports").Index(i).Child("nodePort")
		if p.NodePort == 0 {
			bad = append(bad, g.freePort(&p.NodePort, at)...)
		} else if protocol, ours := own[p.NodePort]; !ours || protocol == p.Protocol {
			bad = append(bad, g.claimPort(p.NodePort, at)...)
		}
		own[p.NodePort] = p.Protocol
	}
	switch at := spec.Child("healthCheckNodePort"); {
	case !checked(s):
	case s.Spec.HealthCheckNodePort == 0:
		bad = append(bad, g.freePort(&s.Spec.HealthCheckNodePort, at)...)
	default:
		bad = append(bad, g.claimPort(s.Spec.HealthCheckNodePort, at)...)
	}
	return bad
}

func (g *giving) freePort(port *int32, p *field.Path) field.ErrorList {
	count := int(g.Ports.Last-g.Ports.First) + 1
	asked := reserved(count)
	for _, part := range []struct{ from, to int }{{asked, count}, {0, asked}} {
		n := part.to - part.from
		start := g.random(max(n, 1))
		for i := range n {
			candidate := g.Ports.First + int32(part.from+(start+i)%n)
			ok, err := g.take(candidate)
			if err != nil {
				return field.ErrorList{field.InternalError(p, err)}
			}
			if ok {
				*port = candidate
				return nil
			}
		}
	}
	return field.ErrorList{field.Invalid(p, *port, "failed to allocate a nodePort: range is full")}
}

// reserved is how many ports at the beginning of so many are given to those who ask
// for a certain one, as long as there are others. As upstream's calculateRangeOffset.
func reserved(count int) int {
	if count < 16 {
		return 0
	}
	return min(max(16, count/32), 128)
}

func (g *giving) claimPort(port int32, p *field.Path) field.ErrorList {
	if port < g.Ports.First || port > g.Ports.Last {
		return field.ErrorList{field.Invalid(p, port,
			fmt.Sprintf("provided port is not in the valid range. The range of valid ports is %d-%d", g.Ports.First, g.Ports.Last))}
	}
	switch ok, err := g.take(port); {
	case err != nil:
		return field.ErrorList{field.InternalError(p, err)}
	case !ok:
		return field.ErrorList{field.Invalid(p, port, "provided port is already allocated")}
	}
	return nil
}

func needsAddress(s *corev1.Service) bool { return s.Spec.Type != corev1.ServiceTypeExternalName }

func balanced(s *corev1.Service) bool { return s.Spec.Type == corev1.ServiceTypeLoadBalancer }

// needsPorts: a load balancer may find its way without.
func needsPorts(s *corev1.Service) bool {
	allocate := s.Spec.AllocateLoadBalancerNodePorts
	return s.Spec.Type == corev1.ServiceTypeNodePort || balanced(s) && (allocate == nil || *allocate)
}

// checked: a load balancer asks the nodes whether they have endpoints.
func checked(s *corev1.Service) bool {
	return balanced(s) && s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}
