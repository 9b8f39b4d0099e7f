package criconfig

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimelabels "k8s.io/kubelet/pkg/types"
)

// The annotations of containers, as upstream names them
// (pkg/kubelet/kuberuntime/labels.go). Other programs read them: crictl, log
// collectors, and a kubelet that was started again.
const (
	annotationHash                     = "io.kubernetes.container.hash"
	annotationRestartCount             = "io.kubernetes.container.restartCount"
	annotationTerminationMessagePath   = "io.kubernetes.container.terminationMessagePath"
	annotationTerminationMessagePolicy = "io.kubernetes.container.terminationMessagePolicy"
	annotationPreStop                  = "io.kubernetes.container.preStopHandler"
	annotationPorts                    = "io.kubernetes.container.ports"
	annotationDeletionGracePeriod      = "io.kubernetes.pod.deletionGracePeriod"
	annotationGracePeriod              = "io.kubernetes.pod.terminationGracePeriod"
)

// sandboxLabels are the pod's own labels and what identifies the pod.
func sandboxLabels(pod *corev1.Pod) map[string]string {
	labels := make(map[string]string, len(pod.Labels)+3)
	maps.Copy(labels, pod.Labels)
	maps.Copy(labels, podLabels(pod))
	return labels
}

func containerLabels(pod *corev1.Pod, c *corev1.Container) map[string]string {
	labels := podLabels(pod)
	labels[runtimelabels.KubernetesContainerNameLabel] = c.Name
	return labels
}

func podLabels(pod *corev1.Pod) map[string]string {
	return map[string]string{
		runtimelabels.KubernetesPodNameLabel:      pod.Name,
		runtimelabels.KubernetesPodNamespaceLabel: pod.Namespace,
		runtimelabels.KubernetesPodUIDLabel:       string(pod.UID),
	}
}

// containerAnnotations are what a kubelet must know to stop a container whose
// pod it has never seen: the manifest may be gone when it starts again.
func containerAnnotations(pod *corev1.Pod, c *corev1.Container, attempt uint32) map[string]string {
	a := map[string]string{
		annotationHash:                     Hash(c),
		annotationRestartCount:             strconv.FormatUint(uint64(attempt), 10),
		annotationTerminationMessagePath:   c.TerminationMessagePath,
		annotationTerminationMessagePolicy: string(c.TerminationMessagePolicy),
	}
	if s := pod.DeletionGracePeriodSeconds; s != nil {
		a[annotationDeletionGracePeriod] = strconv.FormatInt(*s, 10)
	}
	if s := pod.Spec.TerminationGracePeriodSeconds; s != nil {
		a[annotationGracePeriod] = strconv.FormatInt(*s, 10)
	}
	if c.Lifecycle != nil && c.Lifecycle.PreStop != nil {
		a[annotationPreStop] = encode(c.Lifecycle.PreStop)
	}
	if len(c.Ports) > 0 {
		a[annotationPorts] = encode(c.Ports)
	}
	return a
}

// encode writes an API object, which always has a JSON form.
func encode(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return string(data)
}

// Hash identifies the parts of a container which, changed, mean that it has to
// be replaced: its name and its image. All else in a running pod is immutable.
func Hash(c *corev1.Container) string {
	h := fnv.New32a()
	h.Write([]byte(encode(map[string]string{"name": c.Name, "image": c.Image})))
	return strconv.FormatUint(uint64(h.Sum32()), 16)
}

// An Info is what the labels and annotations of a container or sandbox, which
// are all that a restarted kubelet finds, tell about it.
type Info struct {
	PodName, PodNamespace string
	PodUID                types.UID

	// Of containers only.
	Container                string
	Hash                     string
	RestartCount             int
	TerminationMessagePath   string
	TerminationMessagePolicy corev1.TerminationMessagePolicy
	PodGracePeriod           *int64 // seconds
	PodDeletionGracePeriod   *int64 // seconds
	ContainerPorts           []corev1.ContainerPort
	PreStop                  *corev1.LifecycleHandler
}

// ReadInfo is the inverse of what Sandbox and Container write. Unknown or
// unreadable values are left at zero: a container that something else made
// must not stop the kubelet.
func ReadInfo(labels, annotations map[string]string) Info {
	info := Info{
		PodName:                  labels[runtimelabels.KubernetesPodNameLabel],
		PodNamespace:             labels[runtimelabels.KubernetesPodNamespaceLabel],
		PodUID:                   types.UID(labels[runtimelabels.KubernetesPodUIDLabel]),
		Container:                labels[runtimelabels.KubernetesContainerNameLabel],
		Hash:                     annotations[annotationHash],
		TerminationMessagePath:   annotations[annotationTerminationMessagePath],
		TerminationMessagePolicy: corev1.TerminationMessagePolicy(annotations[annotationTerminationMessagePolicy]),
		PodGracePeriod:           decode[*int64](annotations[annotationGracePeriod]),
		PodDeletionGracePeriod:   decode[*int64](annotations[annotationDeletionGracePeriod]),
		ContainerPorts:           decode[[]corev1.ContainerPort](annotations[annotationPorts]),
		PreStop:                  decode[*corev1.LifecycleHandler](annotations[annotationPreStop]),
		RestartCount:             decode[int](annotations[annotationRestartCount]),
	}
	return info
}

func decode[T any](s string) T {
	var v, zero T
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		return zero
	}
	return v
}
