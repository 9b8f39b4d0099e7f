package criconfig

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Sandbox returns the config of a pod's sandbox. Attempt counts the sandboxes
// that this pod has had, from 0; cgroupParent is the pod's cgroup.
func Sandbox(node Node, pod *corev1.Pod, attempt uint32, cgroupParent string) (*runtimeapi.PodSandboxConfig, error) {
	if name := pod.Spec.RuntimeClassName; name != nil && *name != "" {
		return nil, fmt.Errorf("runtimeClassName %q: RuntimeClass not found: this runtime has one handler only", *name)
	}
	dns, err := podDNS(node, pod)
	if err != nil {
		return nil, err
	}
	hostname, err := kernelHostname(node, pod)
	if err != nil {
		return nil, err
	}
	security, err := sandboxSecurity(node, pod)
	if err != nil {
		return nil, err
	}
	return &runtimeapi.PodSandboxConfig{
		Metadata: &runtimeapi.PodSandboxMetadata{
			Name: pod.Name, Namespace: pod.Namespace, Uid: string(pod.UID), Attempt: attempt,
		},
		Hostname:     hostname,
		LogDirectory: node.LogDir(pod),
		DnsConfig:    dns.cri(),
		PortMappings: portMappings(pod),
		Labels:       sandboxLabels(pod),
		Annotations:  pod.Annotations,
		Linux: &runtimeapi.LinuxPodSandboxConfig{
			CgroupParent:    cgroupParent,
			SecurityContext: security,
			Sysctls:         sysctls(pod),
		},
	}, nil
}

// portMappings are the hostPorts of the containers that live as long as the
// pod: those of its app containers and sidecars. In the node's own network
// there is nothing to map.
func portMappings(pod *corev1.Pod) []*runtimeapi.PortMapping {
	var out []*runtimeapi.PortMapping
	if pod.Spec.HostNetwork {
		return nil
	}
	add := func(c *corev1.Container) {
		for _, p := range c.Ports {
			if p.HostPort == 0 {
				continue
			}
			out = append(out, &runtimeapi.PortMapping{
				Protocol:      runtimeapi.Protocol(runtimeapi.Protocol_value[string(protocol(p))]),
				ContainerPort: p.ContainerPort,
				HostPort:      p.HostPort,
				HostIp:        p.HostIP,
			})
		}
	}
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; sidecar(c) {
			add(c)
		}
	}
	for i := range pod.Spec.Containers {
		add(&pod.Spec.Containers[i])
	}
	return out
}

func protocol(p corev1.ContainerPort) corev1.Protocol {
	if p.Protocol == "" {
		return corev1.ProtocolTCP
	}
	return corev1.Protocol(strings.ToUpper(string(p.Protocol)))
}
