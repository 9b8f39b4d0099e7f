package printing

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// NodeColumns are the columns of nodes.
var NodeColumns = columns{
	name,
	column("Status", "The status of the node"),
	column("Roles", "The roles of the node"),
	age,
	column("Version", doc(corev1.NodeSystemInfo{}, "kubeletVersion")),
	wide("Internal-IP", doc(corev1.NodeStatus{}, "addresses")),
	wide("External-IP", doc(corev1.NodeStatus{}, "addresses")),
	wide("OS-Image", doc(corev1.NodeSystemInfo{}, "osImage")),
	wide("Kernel-Version", doc(corev1.NodeSystemInfo{}, "kernelVersion")),
	wide("Container-Runtime", doc(corev1.NodeSystemInfo{}, "containerRuntimeVersion")),
}

// Node is the line of a node.
func Node(n *corev1.Node) []any {
	info := n.Status.NodeInfo
	kernel := or(info.KernelVersion, unknown)
	if info.Architecture != "" {
		kernel += " (" + info.Architecture + ")"
	}
	return []any{n.Name, nodeStatus(n), or(strings.Join(roles(n), ","), none), ageOf(n), info.KubeletVersion,
		address(n, corev1.NodeInternalIP), address(n, corev1.NodeExternalIP),
		or(info.OSImage, unknown), kernel, or(info.ContainerRuntimeVersion, unknown)}
}

func nodeStatus(n *corev1.Node) string {
	status := "Unknown"
	for _, c := range n.Status.Conditions {
		if c.Type != corev1.NodeReady {
			continue
		}
		if status = "NotReady"; c.Status == corev1.ConditionTrue {
			status = "Ready"
		}
	}
	if n.Spec.Unschedulable {
		status += ",SchedulingDisabled"
	}
	return status
}

// roles are what the node's labels say that it is for.
func roles(n *corev1.Node) []string {
	var roles []string
	for key, value := range n.Labels {
		if role, ok := strings.CutPrefix(key, "node-role.kubernetes.io/"); ok && role != "" {
			roles = append(roles, role)
		} else if key == "kubernetes.io/role" && value != "" {
			roles = append(roles, value)
		}
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

func address(n *corev1.Node, kind corev1.NodeAddressType) string {
	for _, a := range n.Status.Addresses {
		if a.Type == kind {
			return a.Address
		}
	}
	return none
}
