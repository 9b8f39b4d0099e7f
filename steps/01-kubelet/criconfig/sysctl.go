package criconfig

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// safeSysctls belong to a namespace of the pod and can harm nobody else, so
// every pod may set them (docs: "Using sysctls in a Kubernetes Cluster").
var safeSysctls = []string{
	"kernel.shm_rmid_forced",
	"net.ipv4.ip_local_port_range",
	"net.ipv4.ip_local_reserved_ports",
	"net.ipv4.ip_unprivileged_port_start",
	"net.ipv4.ping_group_range",
	"net.ipv4.tcp_fin_timeout",
	"net.ipv4.tcp_keepalive_intvl",
	"net.ipv4.tcp_keepalive_probes",
	"net.ipv4.tcp_keepalive_time",
	"net.ipv4.tcp_rmem",
	"net.ipv4.tcp_syncookies",
	"net.ipv4.tcp_wmem",
}

// checkSysctl returns why a pod may not set a sysctl.
func checkSysctl(node Node, pod *corev1.Pod, name string) error {
	name = dotted(name)
	if !slices.Contains(safeSysctls, name) && !slices.ContainsFunc(node.AllowedUnsafeSysctls, covers(name)) {
		return fmt.Errorf("%q not allowlisted", name)
	}
	switch sysctlNamespace(name) {
	case "ipc":
		if pod.Spec.HostIPC {
			return fmt.Errorf("%q not allowed with host ipc enabled", name)
		}
	case "net":
		if pod.Spec.HostNetwork {
			return fmt.Errorf("%q not allowed with host net enabled", name)
		}
	default:
		return fmt.Errorf("%q belongs to no namespace: setting it would change the node", name)
	}
	return nil
}

// covers says whether an allowed name or PREFIX* includes the sysctl.
func covers(name string) func(allowed string) bool {
	return func(allowed string) bool {
		allowed = dotted(allowed)
		prefix, isPrefix := strings.CutSuffix(allowed, "*")
		return allowed == name || isPrefix && strings.HasPrefix(name, prefix)
	}
}

func sysctlNamespace(name string) string {
	switch {
	case strings.HasPrefix(name, "net."):
		return "net"
	case name == "kernel.sem", strings.HasPrefix(name, "kernel.shm"), strings.HasPrefix(name, "kernel.msg"), strings.HasPrefix(name, "fs.mqueue."):
		return "ipc"
	}
	return ""
}

// sysctls are the pod's, by their dotted names.
func sysctls(pod *corev1.Pod) map[string]string {
	list := podSecurity(pod).Sysctls
	out := make(map[string]string, len(list))
	for _, s := range list {
		out[dotted(s.Name)] = s.Value
	}
	return out
}

// dotted turns net/ipv4/conf/eth0.1/x into net.ipv4.conf.eth0/1.x: sysctl(8)
// takes both, and the first separator decides which one it is.
func dotted(name string) string {
	if i := strings.IndexAny(name, "./"); i < 0 || name[i] == '.' {
		return name
	}
	return strings.NewReplacer(".", "/", "/", ".").Replace(name)
}
