package criconfig

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// maxHostname is how long a name may be that the kernel takes (utsname(2)).
const maxHostname = 64

// Hostname returns the name that the pod's processes see and, for a pod with a
// subdomain, the domain that completes it. A name that is too long for a label
// of DNS is cut, as a pod's own name may be.
func Hostname(node Node, pod *corev1.Pod) (hostname, domain string, err error) {
	spec := &pod.Spec
	if spec.HostnameOverride != nil && *spec.HostnameOverride != "" {
		return overridden(pod)
	}
	hostname = pod.Name
	if spec.Hostname != "" {
		if msgs := validation.IsDNS1123Label(spec.Hostname); len(msgs) > 0 {
			return "", "", fmt.Errorf("pod Hostname %q is not a valid DNS label: %s", spec.Hostname, strings.Join(msgs, ";"))
		}
		hostname = spec.Hostname
	}
	if len(hostname) > validation.DNS1123LabelMaxLength {
		hostname = strings.TrimRight(hostname[:validation.DNS1123LabelMaxLength], "-.")
	}
	if spec.Subdomain != "" {
		if msgs := validation.IsDNS1123Label(spec.Subdomain); len(msgs) > 0 {
			return "", "", fmt.Errorf("pod Subdomain %q is not a valid DNS label: %s", spec.Subdomain, strings.Join(msgs, ";"))
		}
		domain = strings.Join([]string{spec.Subdomain, pod.Namespace, "svc", node.ClusterDomain}, ".")
	}
	return hostname, domain, nil
}

func overridden(pod *corev1.Pod) (hostname, domain string, err error) {
	name := *pod.Spec.HostnameOverride
	msgs := validation.IsDNS1123Subdomain(name)
	if len(name) > maxHostname {
		msgs = append(msgs, fmt.Sprintf("must be no more than %d characters", maxHostname))
	}
	if len(msgs) > 0 {
		return "", "", fmt.Errorf("pod HostnameOverride %q is not a valid DNS subdomain: %s", name, strings.Join(msgs, ";"))
	}
	if pod.Spec.HostNetwork || isTrue(pod.Spec.SetHostnameAsFQDN) {
		return "", "", fmt.Errorf("hostnameOverride excludes hostNetwork and setHostnameAsFQDN")
	}
	return name, "", nil
}

// kernelHostname is what uname says in the pod: the node's own name in the
// node's network, the whole name where setHostnameAsFQDN wants it.
func kernelHostname(node Node, pod *corev1.Pod) (string, error) {
	hostname, domain, err := Hostname(node, pod)
	switch {
	case err != nil:
		return "", err
	case pod.Spec.HostNetwork:
		return "", nil
	case domain == "" || !isTrue(pod.Spec.SetHostnameAsFQDN):
		return hostname, nil
	}
	fqdn := hostname + "." + domain
	if len(fqdn) > maxHostname {
		return "", fmt.Errorf("failed to construct FQDN from pod hostname and cluster domain, FQDN %s is too long (%d characters is the max, %d characters requested)",
			fqdn, maxHostname, len(fqdn))
	}
	return fqdn, nil
}
