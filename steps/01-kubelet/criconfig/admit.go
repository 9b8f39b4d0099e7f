package criconfig

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// A Rejection says why a pod can never run on this node. Reason and Message
// are what the pod's status shows, its phase being Failed.
type Rejection struct {
	Reason, Message string
}

// Admit returns why the pod can never run on this node, or nil. These are
// properties of the node, unlike mistakes in the pod, which Sandbox and
// Container report.
func Admit(node Node, pod *corev1.Pod) *Rejection {
	if os := pod.Spec.OS; os != nil && os.Name != corev1.Linux {
		return &Rejection{"PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS"}
	}
	for _, s := range podSecurity(pod).Sysctls {
		if err := checkSysctl(node, pod, s.Name); err != nil {
			return &Rejection{"SysctlForbidden", fmt.Sprintf("forbidden sysctl: %v", err)}
		}
	}
	for c := range containers(pod) {
		sc := effective(pod, c)
		if _, err := appArmorProfile(node, sc.AppArmorProfile); err != nil {
			return &Rejection{"AppArmor", fmt.Sprintf("Cannot enforce AppArmor: %v", err)}
		}
		if _, err := seLinuxOptions(node, sc.SELinuxOptions); err != nil {
			return &Rejection{"SELinux", fmt.Sprintf("container %q: %v", c.Name, err)}
		}
	}
	if ownUsers(pod) && node.IDRange == nil {
		return &Rejection{"UserNamespacesNotSupported", "hostUsers: false: this node does not give user namespaces to pods"}
	}
	return nil
}
