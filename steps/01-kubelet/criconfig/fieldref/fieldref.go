// Package fieldref is the downward API: it reads what a pod may learn about
// itself, for environment variables and for files alike.
//
// There are two kinds of references. A field reference names a field of the pod
// by its path (metadata.labels['app']). A resource reference names a request
// or limit of one container, divided by a unit and rounded up, so that a Java
// process can be told its memory in megabytes.
//
// Upstream: pkg/fieldpath and pkg/api/v1/resource.
package fieldref

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Metadata returns a field that both variables and files may refer to:
// metadata.name, .namespace, .uid, .labels['KEY'] and .annotations['KEY'].
// A key that the pod does not have gives the empty string.
func Metadata(pod *corev1.Pod, path string) (string, error) {
	if base, key, ok := subscript(path); ok {
		switch base {
		case "metadata.labels":
			return pod.Labels[key], nil
		case "metadata.annotations":
			return pod.Annotations[key], nil
		}
		return "", fmt.Errorf("fieldPath %q does not support subscript", path)
	}
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	}
	return "", fmt.Errorf("unsupported fieldPath: %s", path)
}

// File returns a field that a file may refer to: those of Metadata, and all
// labels or annotations, one per line.
func File(pod *corev1.Pod, path string) (string, error) {
	switch path {
	case "metadata.labels":
		return FormatMap(pod.Labels), nil
	case "metadata.annotations":
		return FormatMap(pod.Annotations), nil
	}
	return Metadata(pod, path)
}

// A Runtime is what a variable may refer to and the pod's spec does not know.
type Runtime struct {
	NodeName        string
	HostIPs, PodIPs []string // the primary one first
}

// Variable returns a field that an environment variable may refer to: those of
// Metadata, spec.nodeName, spec.serviceAccountName and the addresses.
func (r Runtime) Variable(pod *corev1.Pod, path string) (string, error) {
	switch path {
	case "spec.nodeName":
		return r.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.hostIP":
		return first(r.HostIPs), nil
	case "status.hostIPs":
		return strings.Join(r.HostIPs, ","), nil
	case "status.podIP":
		return first(r.PodIPs), nil
	case "status.podIPs":
		return strings.Join(r.PodIPs, ","), nil
	}
	return Metadata(pod, path)
}

// FormatMap writes labels or annotations as the lines KEY="VALUE", sorted by
// key, the value quoted as a Go string is.
func FormatMap(m map[string]string) string {
	lines := make([]string, 0, len(m))
	for k, v := range m {
		lines = append(lines, fmt.Sprintf("%s=%q", k, v))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// subscript splits metadata.labels['KEY'].
func subscript(path string) (base, key string, ok bool) {
	s, ok := strings.CutSuffix(path, "']")
	if !ok {
		return "", "", false
	}
	return strings.Cut(s, "['")
}

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}
