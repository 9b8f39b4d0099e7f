// Package podfiles makes the small files that a container finds in its file system
// and that are no volumes: the pod's /etc/hosts, a place for its last words, and
// the directory of its log.
package podfiles

import (
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
)

// Files are the files of one attempt at running a container, on the node. An
// empty path means that the container has no such file.
type Files struct {
	Hosts          string // mounted at /etc/hosts
	TerminationLog string // mounted at terminationMessagePath
	Log            string // what the runtime writes; only its directory is made
}

// Make makes the files, or brings them up to date.
func Make(node criconfig.Node, pod *corev1.Pod, c *corev1.Container, attempt uint32, podIPs []string) (f Files, err error) {
	f.Log = filepath.Join(node.LogDir(pod), criconfig.LogPath(c.Name, attempt))
	if err := os.MkdirAll(filepath.Dir(f.Log), 0o755); err != nil {
		return f, err
	}
	if criconfig.ManagesHosts(c) {
		if f.Hosts, err = hosts(node, pod, podIPs); err != nil {
			return f, err
		}
	}
	f.TerminationLog, err = terminationLog(node, pod, c, attempt)
	return f, err
}

// hosts is written in place, because containers that run have mounted this very
// inode.
func hosts(node criconfig.Node, pod *corev1.Pod, podIPs []string) (string, error) {
	own, _ := os.ReadFile("/etc/hosts") // a node without one has nothing to add
	content, err := criconfig.HostsFile(node, pod, podIPs, own)
	if err != nil {
		return "", err
	}
	path := node.HostsPath(pod.UID)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, content, 0o644)
}

// terminationLog is empty; whatever user the container runs as may write there.
func terminationLog(node criconfig.Node, pod *corev1.Pod, c *corev1.Container, attempt uint32) (string, error) {
	dir := node.ContainerDir(pod.UID, c.Name)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	path := filepath.Join(dir, fmt.Sprint(attempt))
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		return "", err
	}
	return path, os.Chmod(path, 0o666) // the umask must not decide
}

// NextAttempt returns the number of a container's next attempt as its logs tell
// it, 0.log, 1.log and so on: the runtime may have forgotten the others.
func NextAttempt(node criconfig.Node, pod *corev1.Pod, container string) (next uint32) {
	dir := filepath.Dir(filepath.Join(node.LogDir(pod), criconfig.LogPath(container, 0)))
	entries, _ := os.ReadDir(dir) // none: it never ran
	for _, e := range entries {
		var n uint32
		if _, err := fmt.Sscanf(e.Name(), "%d.log", &n); err == nil {
			next = max(next, n+1)
		}
	}
	return next
}
