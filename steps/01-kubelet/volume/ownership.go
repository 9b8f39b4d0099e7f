package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	corev1 "k8s.io/api/core/v1"
)

// FSGroup is the group that owns the pod's volumes, or nil.
func FSGroup(pod *corev1.Pod) *int64 {
	if sc := pod.Spec.SecurityContext; sc != nil {
		return sc.FSGroup
	}
	return nil
}

// GroupMode adds to a mode what the owning group of a volume needs: to read
// and (unless readOnly) to write, to enter directories, and for new files in these to belong to
// the group as well (the set-group-id bit).
func GroupMode(m os.FileMode, readOnly bool) os.FileMode {
	if m&os.ModeSymlink != 0 {
		return m
	}
	if readOnly {
		m |= 0o440
	} else {
		m |= 0o660
	}
	if m.IsDir() {
		m |= os.ModeSetgid | 0o110
	}
	return m
}

// SetOwnership gives everything in dir to the pod's fsGroup, if it has one. With
// fsGroupChangePolicy OnRootMismatch a directory that has the right owner and
// mode already is believed to be right all through, so dir itself is changed
// last: a run that was cut short is then repeated.
//
// Upstream: pkg/volume/volume_linux.go.
func SetOwnership(dir string, pod *corev1.Pod) error {
	group := FSGroup(pod)
	if group == nil {
		return nil
	}
	policy := pod.Spec.SecurityContext.FSGroupChangePolicy
	if policy != nil && *policy == corev1.FSGroupChangeOnRootMismatch && owned(dir, *group) {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		return own(path, *group)
	})
	if err == nil {
		err = own(dir, *group)
	}
	if err != nil {
		return fmt.Errorf("give %s to group %d: %w", dir, *group, err)
	}
	return nil
}

func own(path string, group int64) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.Lchown(path, -1, int(group)); err != nil {
		return err
	}
	if info.Mode()&os.ModeSymlink != 0 { // chmod would follow it
		return nil
	}
	return os.Chmod(path, GroupMode(info.Mode(), false))
}

func owned(dir string, group int64) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int64(st.Gid) == group && info.Mode() == GroupMode(info.Mode(), false)
}
