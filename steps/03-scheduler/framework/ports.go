package framework

import corev1 "k8s.io/api/core/v1"

// A HostPort is a port of the node that a pod takes for itself. IP is 0.0.0.0
// for all of the node's addresses.
type HostPort struct {
	IP       string
	Protocol corev1.Protocol
	Port     int32
}

const allAddresses = "0.0.0.0"

// Conflicts reports whether both cannot be taken on one node.
func (p HostPort) Conflicts(o HostPort) bool {
	return p.Port == o.Port && p.Protocol == o.Protocol &&
		(p.IP == o.IP || p.IP == allAddresses || o.IP == allAddresses)
}

// hostPorts lists the ports of the containers that run as long as the pod does:
// the main ones and the sidecars.
func hostPorts(pod *corev1.Pod) []HostPort {
	var ports []HostPort
	add := func(c *corev1.Container) {
		for _, p := range c.Ports {
			if p.HostPort <= 0 {
				continue
			}
			port := HostPort{IP: p.HostIP, Protocol: p.Protocol, Port: p.HostPort}
			if port.IP == "" {
				port.IP = allAddresses
			}
			if port.Protocol == "" {
				port.Protocol = corev1.ProtocolTCP
			}
			ports = append(ports, port)
		}
	}
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			add(c)
		}
	}
	for i := range pod.Spec.Containers {
		add(&pod.Spec.Containers[i])
	}
	return ports
}
