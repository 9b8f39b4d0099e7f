package rows

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/addressing"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/defaulting"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/printing"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/typed"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/validation"
)

// Services is the row of services. In this step they are data: they get addresses
// (package addressing), and no node routes to them yet.
func Services() resource.Resource {
	return resource.Resource{
		GroupVersionKind: corev1.SchemeGroupVersion.WithKind("Service"),
		Name:             "services",
		Singular:         "service",
		ShortNames:       []string{"svc"},
		Categories:       []string{"all"},
		Namespaced:       true,
		Prefix:           "services/specs",
		New:              typed.New[corev1.Service],
		NewList:          typed.List[corev1.ServiceList],
		Strategy: resource.Strategy{
			ReturnDeleted:    true,
			Default:          typed.Change(defaulting.Service),
			PrepareForCreate: typed.OnCreate(newService),
			PrepareForUpdate: typed.OnUpdate(updateService),
			Validate:         typed.One(validation.Service),
			ValidateUpdate:   typed.Two(validation.ServiceUpdate),
			Warnings:         typed.Two(serviceWarnings),
			CreateOnUpdate:   true,
		},
		Columns: printing.ServiceColumns,
		Cells:   typed.One(printing.Service),
		Fields: typed.One(func(s *corev1.Service) fields.Set {
			return fields.Set{"spec.clusterIP": s.Spec.ClusterIP, "spec.type": string(s.Spec.Type)}
		}),
		Subresources: []resource.Subresource{
			typed.Status(resource.Strategy{
				PrepareForUpdate: typed.OnUpdate(func(s, old *corev1.Service) { s.Spec = old.Spec }),
				ValidateUpdate:   typed.Two(validation.ServiceStatusUpdate),
			}),
		},
	}
}

// newService also keeps the address and the list of addresses alike.
func newService(s *corev1.Service) {
	s.Status = corev1.ServiceStatus{}
	if s.Spec.ClusterIP != "" && len(s.Spec.ClusterIPs) == 0 {
		s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	}
}

// updateService lets a client that writes back what it read change the type: what
// only the old type had, and what was not touched, goes.
func updateService(s, old *corev1.Service) {
	s.Status = old.Status
	addressing.Keep(s, old)
	sameIPs := s.Spec.ClusterIP == old.Spec.ClusterIP && slices.Equal(s.Spec.ClusterIPs, old.Spec.ClusterIPs)
	if hasClusterIP(old) && !hasClusterIP(s) {
		if sameIPs {
			s.Spec.ClusterIP, s.Spec.ClusterIPs = "", nil
		}
		dropIfSame(&s.Spec.IPFamilies, old.Spec.IPFamilies)
		dropIfSame(&s.Spec.IPFamilyPolicy, old.Spec.IPFamilyPolicy)
	}
	if hasNodePort(old) && !hasNodePort(s) && sameNodePorts(s, old) {
		for i := range s.Spec.Ports {
			s.Spec.Ports[i].NodePort = 0
		}
	}
	if hasHealthPort(old) && !hasHealthPort(s) {
		dropIfSame(&s.Spec.HealthCheckNodePort, old.Spec.HealthCheckNodePort)
	}
	if isBalanced(old) && !isBalanced(s) {
		dropIfSame(&s.Spec.AllocateLoadBalancerNodePorts, old.Spec.AllocateLoadBalancerNodePorts)
		dropIfSame(&s.Spec.LoadBalancerClass, old.Spec.LoadBalancerClass)
	}
	if isExternal(old) && !isExternal(s) {
		dropIfSame(&s.Spec.ExternalTrafficPolicy, old.Spec.ExternalTrafficPolicy)
	}
	if !isBalanced(s) {
		s.Status.LoadBalancer = corev1.LoadBalancerStatus{}
	}
}

// dropIfSame empties a field that the client left as it was.
func dropIfSame[T any](field *T, old T) {
	if equality.Semantic.DeepEqual(*field, old) {
		var none T
		*field = none
	}
}

func hasClusterIP(s *corev1.Service) bool { return s.Spec.Type != corev1.ServiceTypeExternalName }

func isBalanced(s *corev1.Service) bool { return s.Spec.Type == corev1.ServiceTypeLoadBalancer }

func hasNodePort(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeNodePort || isBalanced(s)
}

func hasHealthPort(s *corev1.Service) bool {
	return isBalanced(s) && s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

func isExternal(s *corev1.Service) bool {
	return hasNodePort(s) || s.Spec.Type == corev1.ServiceTypeClusterIP && len(s.Spec.ExternalIPs) > 0
}

// sameNodePorts: the new service has no node port that the old one had not.
func sameNodePorts(s, old *corev1.Service) bool {
	for _, p := range s.Spec.Ports {
		if p.NodePort != 0 && !slices.ContainsFunc(old.Spec.Ports, func(b corev1.ServicePort) bool { return b.NodePort == p.NodePort }) {
			return false
		}
	}
	return true
}
