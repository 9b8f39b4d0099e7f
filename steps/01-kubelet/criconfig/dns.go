package criconfig

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Limits of a pod's resolv.conf. What is beyond them is cut off: glibc reads
// three servers, and older ones read six search domains of 256 characters.
const (
	maxServers       = 3
	maxSearches      = 32
	maxSearchesChars = 2048
)

// A DNS is the content of a resolv.conf.
type DNS struct {
	Servers  []string
	Searches []string
	Options  []string
}

func (d DNS) cri() *runtimeapi.DNSConfig {
	return &runtimeapi.DNSConfig{Servers: d.Servers, Searches: d.Searches, Options: d.Options}
}

// ParseResolvConf reads the file format of resolv.conf(5): the last search line
// counts, and so does the last options line, as upstream has it.
func ParseResolvConf(r io.Reader) (DNS, error) {
	var d DNS
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		f := strings.Fields(lines.Text())
		if len(f) == 0 || strings.HasPrefix(f[0], "#") || strings.HasPrefix(f[0], ";") {
			continue
		}
		switch f[0] {
		case "nameserver":
			if len(f) < 2 {
				return DNS{}, fmt.Errorf("resolv.conf: line %d: nameserver without address", n)
			}
			d.Servers = append(d.Servers, f[1])
		case "search", "domain":
			d.Searches = nil
			for _, s := range f[1:] {
				d.Searches = append(d.Searches, trimRoot(s))
			}
		case "options":
			d.Options = slices.Clone(f[1:])
		}
	}
	return d, lines.Err()
}

// trimRoot takes the final dot from a domain that has one and is not the root.
func trimRoot(domain string) string {
	if domain == "." {
		return domain
	}
	return strings.TrimSuffix(domain, ".")
}

// podDNS is what the pod's resolv.conf says: what the policy gives, then what
// the pod's dnsConfig adds, then cut to the limits.
func podDNS(node Node, pod *corev1.Pod) (DNS, error) {
	d, err := policyDNS(node, pod)
	if err != nil {
		return DNS{}, err
	}
	if c := pod.Spec.DNSConfig; c != nil {
		d.Servers = unique(d.Servers, c.Nameservers)
		d.Searches = unique(d.Searches, c.Searches)
		d.Options = mergeOptions(d.Options, c.Options)
	}
	return d.limited(), nil
}

// MissingClusterDNS returns the message of upstream's event of that name, for a
// pod that wants the cluster's DNS on a node that knows none; "" for any other.
func MissingClusterDNS(node Node, pod *corev1.Pod) string {
	if p := dnsPolicy(pod); len(node.ClusterDNS) > 0 || p != corev1.DNSClusterFirst && p != corev1.DNSClusterFirstWithHostNet {
		return ""
	}
	return fmt.Sprintf("pod: \"%s_%s(%s)\". kubelet does not have ClusterDNS IP configured and cannot create Pod using %q policy. Falling back to %q policy.",
		pod.Name, pod.Namespace, pod.UID, corev1.DNSClusterFirst, corev1.DNSDefault)
}

func dnsPolicy(pod *corev1.Pod) corev1.DNSPolicy {
	switch p := pod.Spec.DNSPolicy; {
	case p != "" && p != corev1.DNSClusterFirst:
		return p
	case pod.Spec.HostNetwork:
		return corev1.DNSDefault
	}
	return corev1.DNSClusterFirst
}

func policyDNS(node Node, pod *corev1.Pod) (DNS, error) {
	policy := dnsPolicy(pod)
	switch policy {
	case corev1.DNSNone:
		return DNS{}, nil
	case corev1.DNSDefault:
		return node.HostDNS, nil
	case corev1.DNSClusterFirst, corev1.DNSClusterFirstWithHostNet:
		if len(node.ClusterDNS) == 0 { // see MissingClusterDNS
			return node.HostDNS, nil
		}
		return clusterDNS(node, pod.Namespace), nil
	}
	return DNS{}, fmt.Errorf("invalid DNSPolicy=%v", policy)
}

// clusterDNS finds "db" in the pod's namespace, "db.shop" in another and, with
// five dots as the threshold, tries these before the outside world.
func clusterDNS(node Node, namespace string) DNS {
	d := DNS{Servers: node.ClusterDNS, Options: []string{"ndots:5"}, Searches: node.HostDNS.Searches}
	if domain := node.ClusterDomain; domain != "" {
		d.Searches = unique([]string{namespace + ".svc." + domain, "svc." + domain, domain}, d.Searches)
	}
	return d
}

// unique joins two lists and keeps the first of equal entries.
func unique(a, b []string) []string {
	var out []string
	for _, s := range slices.Concat(a, b) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// mergeOptions replaces options ("ndots:5") by those of the same name.
func mergeOptions(existing []string, added []corev1.PodDNSConfigOption) []string {
	out := slices.Clone(existing)
	for _, o := range added {
		text := o.Name
		if o.Value != nil && *o.Value != "" {
			text += ":" + *o.Value
		}
		i := slices.IndexFunc(out, func(s string) bool {
			name, _, _ := strings.Cut(s, ":")
			return name == o.Name
		})
		if i < 0 {
			out = append(out, text)
		} else {
			out[i] = text
		}
	}
	return out
}

func (d DNS) limited() DNS {
	d.Servers = d.Servers[:min(len(d.Servers), maxServers)]
	d.Searches = d.Searches[:min(len(d.Searches), maxSearches)]
	for len(strings.Join(d.Searches, " ")) > maxSearchesChars {
		d.Searches = d.Searches[:len(d.Searches)-1]
	}
	return d
}
