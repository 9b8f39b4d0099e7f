package admission

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podstatus"
)

// A hostPort is a port of the node that a container has.
type hostPort struct {
	ip       string // "" for all addresses
	protocol corev1.Protocol
	port     int32
}

// hostPorts: a port of the node is for one pod at a time. Upstream: the
// scheduler's plugin nodeports.
func hostPorts(pod *corev1.Pod, others []*corev1.Pod) *criconfig.Rejection {
	wanted := hostPortsOf(pod)
	for _, other := range others {
		for _, taken := range hostPortsOf(other) {
			if slices.ContainsFunc(wanted, taken.conflicts) {
				return &criconfig.Rejection{Reason: "NodePorts",
					Message: "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"}
			}
		}
	}
	return nil
}

// hostPortsOf returns the ports that the pod holds as long as it runs: those of
// its app containers and its sidecars.
func hostPortsOf(pod *corev1.Pod) []hostPort {
	var all []hostPort
	add := func(c *corev1.Container) {
		for _, p := range c.Ports {
			if p.HostPort > 0 {
				all = append(all, newHostPort(p))
			}
		}
	}
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; podstatus.IsSidecar(c) {
			add(c)
		}
	}
	for i := range pod.Spec.Containers {
		add(&pod.Spec.Containers[i])
	}
	return all
}

func newHostPort(p corev1.ContainerPort) hostPort {
	h := hostPort{ip: p.HostIP, protocol: p.Protocol, port: p.HostPort}
	if h.ip == "0.0.0.0" {
		h.ip = ""
	}
	if h.protocol == "" {
		h.protocol = corev1.ProtocolTCP
	}
	return h
}

func (h hostPort) conflicts(o hostPort) bool {
	return h.port == o.port && h.protocol == o.protocol && (h.ip == o.ip || h.ip == "" || o.ip == "")
}
