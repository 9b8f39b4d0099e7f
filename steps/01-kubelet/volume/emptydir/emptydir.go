// Package emptydir is the volume that begins empty and ends with its pod.
//
// It is a directory on the node's disk or, with medium Memory, a tmpfs whose
// pages count against the pod's memory. Containers that die leave it alone: it
// lives as long as the pod does on this node.
//
// Upstream: pkg/volume/emptydir.
package emptydir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/cgroup"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
)

// A Plugin makes emptyDirs.
type Plugin struct {
	// Memory bounds volumes of medium Memory that nothing else bounds, in
	// bytes: the node's allocatable memory. 0 leaves it to the kernel.
	Memory int64
}

var (
	_ volume.Plugin  = Plugin{}
	_ volume.Limiter = Plugin{}
)

// Name implements volume.Plugin.
func (Plugin) Name() string { return "kubernetes.io~empty-dir" }

// Supports implements volume.Plugin.
func (Plugin) Supports(v *corev1.Volume) bool { return v.EmptyDir != nil }

// Limit implements volume.Limiter.
func (Plugin) Limit(v *corev1.Volume) *resource.Quantity { return v.EmptyDir.SizeLimit }

// SetUp implements volume.Plugin.
func (p Plugin) SetUp(_ context.Context, pod *corev1.Pod, v *corev1.Volume, dir string) (string, error) {
	mode := os.FileMode(0o777)
	if m := v.EmptyDir.Mode; m != nil {
		mode = volume.FileMode(*m)
	}
	if volume.FSGroup(pod) != nil {
		mode = volume.GroupMode(mode|os.ModeDir, false) &^ os.ModeDir
	}
	switch medium := v.EmptyDir.Medium; medium {
	case corev1.StorageMediumDefault:
		return dir, onDisk(dir, mode, pod)
	case corev1.StorageMediumMemory:
		return dir, volume.MountTmpfs(dir, p.size(pod, v), mode, volume.FSGroup(pod))
	default:
		return "", fmt.Errorf("emptyDir medium %q is not supported", medium)
	}
}

// onDisk makes the directory under another name, so that what has the right
// name also has the right owner.
func onDisk(dir string, mode os.FileMode, pod *corev1.Pod) error {
	if _, err := os.Lstat(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), ".new-")
	if err != nil {
		return err
	}
	err = os.Chmod(temp, mode)
	if err == nil {
		err = volume.SetOwnership(temp, pod)
	}
	if err == nil {
		err = os.Rename(temp, dir)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return nil
}

// size is the smallest of what may bound a volume in memory.
func (p Plugin) size(pod *corev1.Pod, v *corev1.Volume) int64 {
	size := p.Memory
	lower := func(n int64) {
		if n > 0 && (size == 0 || n < size) {
			size = n
		}
	}
	lower(cgroup.MemoryLimit(pod))
	if limit := v.EmptyDir.SizeLimit; limit != nil {
		lower(limit.Value())
	}
	return size
}

// TearDown implements volume.Plugin.
func (Plugin) TearDown(_ context.Context, dir string) error { return volume.Remove(dir) }
