package volume

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// A Usage is the space that one volume takes.
type Usage struct {
	Name   string
	Used   int64 // bytes
	Inodes int64
	Limit  *resource.Quantity // nil for none
	Memory bool               // it takes memory, not disk

	// Of the file system it is on.
	Capacity, Available     int64 // bytes
	InodesTotal, InodesFree int64
}

// Usage measures the pod's volumes that have content of their own, which is
// all but hostPaths. Volumes that are not there yet are left out.
func (m *Manager) Usage(ctx context.Context, pod *corev1.Pod) ([]Usage, error) {
	var out []Usage
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		p := m.plugin(v)
		if p == nil {
			continue
		}
		dir := m.dir(pod.UID, p, v.Name)
		if _, err := os.Lstat(dir); err != nil {
			continue
		}
		u, err := Measure(ctx, dir)
		if err != nil {
			return nil, fmt.Errorf("measure volume %q: %w", v.Name, err)
		}
		u.Name = v.Name
		if l, ok := p.(Limiter); ok {
			u.Limit = l.Limit(v)
		}
		out = append(out, u)
	}
	return out, nil
}

// Measure adds up the blocks of a tree as du(1) does: a file with several names
// counts once, a sparse one by what it occupies, other file systems not at all.
// Name and Limit are left empty.
func Measure(ctx context.Context, dir string) (Usage, error) {
	u, err := FileSystem(dir)
	if err != nil {
		return Usage{}, err
	}
	var root syscall.Stat_t
	if err := syscall.Lstat(dir, &root); err != nil {
		return Usage{}, err
	}
	seen := map[uint64]bool{}
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		var st syscall.Stat_t
		if err != nil || syscall.Lstat(path, &st) != nil {
			return nil // it went while we looked
		}
		if st.Dev != root.Dev {
			return filepath.SkipDir
		}
		if !seen[st.Ino] {
			seen[st.Ino] = true
			u.Used += st.Blocks * 512
			u.Inodes++
		}
		return nil
	})
	return u, err
}

// FileSystem measures only the file system that dir is on.
func FileSystem(dir string) (Usage, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return Usage{}, fmt.Errorf("statfs %s: %w", dir, err)
	}
	return Usage{
		Memory:      st.Type == unix.TMPFS_MAGIC,
		Capacity:    int64(st.Blocks) * st.Bsize,
		Available:   int64(st.Bavail) * st.Bsize,
		InodesTotal: int64(st.Files),
		InodesFree:  int64(st.Ffree),
	}, nil
}

// WatchLimits enforces the limits that no file system does (an emptyDir's
// sizeLimit on disk): every period it measures the volumes of the pods that
// have such limits, and calls evict, with the message for the pod's status
// (reason Evicted), for each that is over one. It does so again as long as that
// lasts. It blocks until ctx is done. Upstream: eviction_manager.go,
// localStorageEviction, every 10 seconds.
func (m *Manager) WatchLimits(ctx context.Context, period time.Duration, pods func() []*corev1.Pod, evict func(pod *corev1.Pod, message string)) error {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, pod := range pods() {
			if !m.limited(pod) {
				continue
			}
			usage, err := m.Usage(ctx, pod)
			if err != nil {
				m.conf.Log.Warn("volumes not measured", "pod", pod.Namespace+"/"+pod.Name, "error", err)
			} else if message := OverLimit(usage); message != "" {
				evict(pod, message)
			}
		}
	}
}

// limited says whether a pod that is not over has a volume with a limit.
func (m *Manager) limited(pod *corev1.Pod) bool {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return false
	}
	return slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
		l, ok := m.plugin(&v).(Limiter)
		return ok && l.Limit(&v) != nil
	})
}

// OverLimit returns the message with which upstream evicts a pod for the first
// of its volumes that is larger than its limit, or "".
func OverLimit(usage []Usage) string {
	for _, u := range usage {
		if u.Limit != nil && u.Limit.Sign() > 0 && u.Used > u.Limit.Value() {
			return fmt.Sprintf("Usage of EmptyDir volume %q exceeds the limit %q. ", u.Name, u.Limit)
		}
	}
	return ""
}
