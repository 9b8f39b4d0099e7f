// Package podsource is the seam between the kubelet and the origins of its pods.
package podsource

import (
	"context"

	corev1 "k8s.io/api/core/v1"
)

// A Source reports the pods that one origin wants on this node.
//
// Each update carries the complete set, never a difference: a pod that is
// missing from an update is a pod to stop. A source must send one update even
// when it has no pods, because the kubelet stops nothing until every source
// has spoken once.
type Source interface {
	// Name identifies the source in logs and in the annotation
	// [Annotation]: "file", "api".
	Name() string

	// Run calls update with every new set until ctx is done, and then returns
	// nil. Any other return value means the source has failed for good. The
	// callee of update owns the slice and the pods in it.
	Run(ctx context.Context, update func([]*corev1.Pod)) error
}

// Annotation names the source that a pod came from, as upstream's pkg/kubelet/types
// has it.
const Annotation = "kubernetes.io/config.source"

// IsStatic reports whether the pod came from another source than the API server.
func IsStatic(pod *corev1.Pod) bool {
	source := pod.Annotations[Annotation]
	return source != "" && source != "api"
}
