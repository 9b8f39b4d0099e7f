package fieldref

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Resource returns a request or limit in units of the divisor, rounded up.
// Where the container sets no limit the node's allocatable amount stands in:
// that is as much as it can get.
func Resource(pod *corev1.Pod, c *corev1.Container, ref *corev1.ResourceFieldSelector, allocatable corev1.ResourceList) (string, error) {
	if ref.ContainerName != "" && (c == nil || c.Name != ref.ContainerName) {
		if c = container(pod, ref.ContainerName); c == nil {
			return "", fmt.Errorf("resource %s: container %s not found", ref.Resource, ref.ContainerName)
		}
	}
	if c == nil {
		return "", fmt.Errorf("resource %s: containerName is required", ref.Resource)
	}
	kind, name, _ := strings.Cut(ref.Resource, ".")
	if !known(corev1.ResourceName(name)) || kind != "limits" && kind != "requests" {
		return "", fmt.Errorf("unsupported container resource: %v", ref.Resource)
	}
	if kind == "requests" {
		return divide(request(c, corev1.ResourceName(name)), ref.Divisor, name)
	}
	return divide(limit(c, corev1.ResourceName(name), allocatable), ref.Divisor, name)
}

func known(name corev1.ResourceName) bool {
	return name == corev1.ResourceCPU || name == corev1.ResourceMemory || name == corev1.ResourceEphemeralStorage ||
		strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

func limit(c *corev1.Container, name corev1.ResourceName, allocatable corev1.ResourceList) resource.Quantity {
	if q, ok := c.Resources.Limits[name]; ok && !q.IsZero() {
		return q
	}
	if strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix) {
		return resource.Quantity{}
	}
	return allocatable[name]
}

// request falls back to the limit, as API defaulting does.
func request(c *corev1.Container, name corev1.ResourceName) resource.Quantity {
	if q, ok := c.Resources.Requests[name]; ok {
		return q
	}
	return c.Resources.Limits[name]
}

func divide(q, divisor resource.Quantity, name string) (string, error) {
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	value, unit := q.Value(), divisor.Value()
	if name == string(corev1.ResourceCPU) { // the only one that is counted in thousandths
		value, unit = q.MilliValue(), divisor.MilliValue()
	}
	if unit <= 0 {
		return "", fmt.Errorf("divisor %s: must be positive", &divisor)
	}
	n := value / unit
	if value%unit > 0 {
		n++
	}
	return strconv.FormatInt(n, 10), nil
}

func container(pod *corev1.Pod, name string) *corev1.Container {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}
