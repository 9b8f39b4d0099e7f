// Package volume is the seam between the kubelet and the kinds of volumes, and
// the manager that works them.
//
// To a container a volume is a bind mount, nothing more. All that differs
// between the kinds is where the directory on the node comes from: it is made
// empty, written by the kubelet, or there already. A [Plugin] answers that, for
// one kind each, in the packages below this one. The [Manager] knows when: before
// the first container of a pod, at every sync, and after the last container is
// gone; also for the pods of a kubelet that crashed in between.
package volume

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// A Plugin makes one kind of volume available to pods on this node.
type Plugin interface {
	// Name is upstream's plugin name, such as "kubernetes.io~empty-dir": it is
	// the directory under pods/UID/volumes that holds this kind's volumes.
	Name() string

	// Supports says whether the volume is of this kind.
	Supports(v *corev1.Volume) bool

	// SetUp brings the volume's content to dir, which the caller has not made,
	// and returns the host path that containers mount (dir itself, or another
	// path for a hostPath). It is called again at every sync of the pod and
	// when the kubelet was restarted: it must then leave data alone and bring
	// generated content (downward API) up to date, atomically.
	SetUp(ctx context.Context, pod *corev1.Pod, v *corev1.Volume, dir string) (path string, err error)

	// TearDown undoes SetUp, given nothing but what is on disk. It succeeds
	// when there is nothing to undo.
	TearDown(ctx context.Context, dir string) error
}

// A ReadOnly is a Plugin that says whether containers must not write to its
// volumes: those whose content the kubelet writes again at any time.
type ReadOnly interface {
	ReadOnly() bool
}

// A Limiter is a Plugin whose volumes may have a limit that nothing but the
// kubelet's watching enforces.
type Limiter interface {
	// Limit returns nil for a volume without limit.
	Limit(v *corev1.Volume) *resource.Quantity
}
