package criconfig

import (
	"bytes"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const hostsPath = "/etc/hosts"

// HostsFile returns the content of the /etc/hosts that the kubelet manages for
// a pod. NodeHosts is the node's own file, with which a hostNetwork pod's
// begins.
func HostsFile(node Node, pod *corev1.Pod, podIPs []string, nodeHosts []byte) ([]byte, error) {
	var b bytes.Buffer
	if pod.Spec.HostNetwork {
		b.WriteString("# Kubernetes-managed hosts file (host network).\n")
		b.Write(nodeHosts)
	} else if err := podHosts(&b, node, pod, podIPs); err != nil {
		return nil, err
	}
	if len(pod.Spec.HostAliases) > 0 {
		b.WriteString("\n# Entries added by HostAliases.\n")
	}
	for _, alias := range pod.Spec.HostAliases {
		b.WriteString(alias.IP + "\t" + strings.Join(alias.Hostnames, "\t") + "\n")
	}
	return b.Bytes(), nil
}

func podHosts(b *bytes.Buffer, node Node, pod *corev1.Pod, podIPs []string) error {
	hostname, domain, err := Hostname(node, pod)
	if err != nil {
		return err
	}
	b.WriteString("# Kubernetes-managed hosts file.\n" +
		"127.0.0.1\tlocalhost\n" +
		"::1\tlocalhost ip6-localhost ip6-loopback\n" +
		"fe00::0\tip6-localnet\n" +
		"fe00::0\tip6-mcastprefix\n" +
		"fe00::1\tip6-allnodes\n" +
		"fe00::2\tip6-allrouters\n")
	for _, ip := range podIPs {
		if domain != "" {
			b.WriteString(ip + "\t" + hostname + "." + domain + "\t" + hostname + "\n")
		} else {
			b.WriteString(ip + "\t" + hostname + "\n")
		}
	}
	return nil
}

// ManagesHosts says whether a container gets the managed /etc/hosts: not when
// it mounts something there itself.
func ManagesHosts(c *corev1.Container) bool {
	for _, m := range c.VolumeMounts {
		if path.Clean(m.MountPath) == hostsPath {
			return false
		}
	}
	return true
}
