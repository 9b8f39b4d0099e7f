package criconfig

import (
	"fmt"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// PodDir is everything that the kubelet keeps about a pod: RootDir/pods/UID.
func (n Node) PodDir(uid types.UID) string {
	return filepath.Join(n.RootDir, "pods", string(uid))
}

// ContainerDir is pods/UID/containers/NAME, which holds termination logs.
func (n Node) ContainerDir(uid types.UID, container string) string {
	return filepath.Join(n.PodDir(uid), "containers", container)
}

// HostsPath is where the managed hosts file of a pod is: pods/UID/etc-hosts.
func (n Node) HostsPath(uid types.UID) string {
	return filepath.Join(n.PodDir(uid), "etc-hosts")
}

// LogDir is the directory of a pod's logs: PodLogsDir/NAMESPACE_NAME_UID.
func (n Node) LogDir(pod *corev1.Pod) string {
	return filepath.Join(n.PodLogsDir, strings.Join([]string{pod.Namespace, pod.Name, string(pod.UID)}, "_"))
}

// LogPath is a container's log relative to LogDir: NAME/RESTART.log.
func LogPath(container string, restart uint32) string {
	return filepath.Join(container, fmt.Sprintf("%d.log", restart))
}

// seccompPath is where a Localhost profile of that name is.
func (n Node) seccompPath(profile string) string {
	return filepath.Join(n.RootDir, "seccomp", profile)
}
