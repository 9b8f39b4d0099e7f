package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// Remove deletes a directory tree after it has unmounted everything in it:
// what a plugin mounted, and what a container with Bidirectional propagation
// left. The order matters, as deleting first would delete what is mounted. It
// succeeds when there is nothing.
func Remove(dir string) error {
	if err := unmountAll(dir); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	return nil
}

// unmountAll unmounts dir and everything below it, the newest mounts first.
func unmountAll(dir string) error {
	parent, err := filepath.EvalSymlinks(filepath.Dir(dir)) // the mount table has no symbolic links
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(filepath.Join(parent, filepath.Base(dir))))
	if err != nil {
		return fmt.Errorf("read the mount table: %w", err)
	}
	for _, m := range slices.Backward(mounts) {
		err := unix.Unmount(m.Mountpoint, unix.UMOUNT_NOFOLLOW)
		if err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: it went with another one
			return fmt.Errorf("unmount %s: %w", m.Mountpoint, err)
		}
	}
	return nil
}

// IsMountPoint says whether something is mounted on dir itself. It is no when
// there is no such directory.
func IsMountPoint(dir string) (bool, error) {
	mounted, err := mountinfo.Mounted(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return mounted, err
}

// MountTmpfs mounts an empty file system in memory on dir, which it makes.
// Size is in bytes; 0 leaves it to the kernel: half of the memory. When it is
// mounted already, nothing changes.
func MountTmpfs(dir string, size int64, mode os.FileMode, gid *int64) error {
	mounted, err := IsMountPoint(dir)
	if err != nil || mounted {
		return err
	}
	if err := os.Mkdir(dir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	options := []string{fmt.Sprintf("mode=%o", unixMode(mode))}
	if size > 0 {
		options = append(options, fmt.Sprintf("size=%d", size))
	}
	if gid != nil {
		options = append(options, fmt.Sprintf("gid=%d", *gid))
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, strings.Join(options, ",")); err != nil {
		return fmt.Errorf("mount tmpfs (%s) on %s: %w", strings.Join(options, ","), dir, err)
	}
	return nil
}

// unixMode is the mode as the kernel writes it.
func unixMode(m os.FileMode) uint32 {
	bits := uint32(m.Perm())
	for flag, bit := range map[os.FileMode]uint32{os.ModeSetuid: unix.S_ISUID, os.ModeSetgid: unix.S_ISGID, os.ModeSticky: unix.S_ISVTX} {
		if m&flag != 0 {
			bits |= bit
		}
	}
	return bits
}

// FileMode is the opposite: it reads the mode bits of an API object.
func FileMode(bits int32) os.FileMode {
	m := os.FileMode(bits) & os.ModePerm
	for flag, bit := range map[os.FileMode]int32{os.ModeSetuid: unix.S_ISUID, os.ModeSetgid: unix.S_ISGID, os.ModeSticky: unix.S_ISVTX} {
		if bits&bit != 0 {
			m |= flag
		}
	}
	return m
}
