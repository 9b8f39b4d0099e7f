package volume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// SubPaths returns the function that makes the subPaths of one container (init,
// ephemeral or not), as criconfig.Input.SubPath wants it: missing directories
// are made, and the result is bound to a place of its own.
//
// The danger is that the volume belongs to containers that may be running. Had
// the runtime been given VOLUME/SUBPATH, one of them could put a symbolic link to
// / there between our look at it and the runtime's mount. So the path is
// resolved once, by the kernel and never outside of the volume (openat2(2),
// RESOLVE_BENEATH), and what it leads to is held by a file descriptor and bound
// from that (open_tree(2), move_mount(2)) to a directory that no container can
// reach. Upstream: pkg/volume/util/subpath/subpath_linux.go; CVE-2017-1002101.
func (m *Manager) SubPaths(pod *corev1.Pod, container string, mounted map[string]Mounted) func(index int, volumeName, subPath string) (string, error) {
	return func(index int, volumeName, subPath string) (string, error) {
		v, ok := mounted[volumeName]
		if !ok {
			return "", fmt.Errorf("volume %q is not mounted", volumeName)
		}
		target := filepath.Join(m.podDir(pod.UID), subPathsDir, volumeName, container, strconv.Itoa(index))
		if err := bindSubPath(v.Path, subPath, target); err != nil {
			return "", fmt.Errorf("subPath %q: %w", subPath, err)
		}
		return target, nil
	}
}

func bindSubPath(volume, subPath, target string) error {
	if !filepath.IsLocal(subPath) {
		return errors.New("must be a relative path without '..'")
	}
	source, err := openSubPath(volume, filepath.Clean(subPath))
	if err != nil {
		return err
	}
	defer unix.Close(source)
	if err := unmountAll(target); err != nil { // of the container's last start
		return err
	}
	if err := makeTarget(source, target); err != nil {
		return err
	}
	tree, err := unix.OpenTree(source, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return os.NewSyscallError("open_tree", err)
	}
	defer unix.Close(tree)
	return os.NewSyscallError("move_mount", unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH))
}

// openSubPath returns a descriptor of what a clean, local path leads to. It
// makes the directories that are missing, with the mode of the volume.
func openSubPath(volume, subPath string) (fd int, err error) {
	root, err := unix.Open(volume, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: volume, Err: err}
	}
	defer unix.Close(root)
	var st unix.Stat_t
	if err := unix.Fstat(root, &st); err != nil {
		return -1, os.NewSyscallError("fstat", err)
	}
	parts := strings.Split(subPath, string(filepath.Separator))
	parent := -1
	for i, name := range parts {
		fd, err = openBeneath(root, filepath.Join(parts[:i+1]...))
		if errors.Is(err, unix.ENOENT) {
			fd, err = makeDirAt(or(parent, root), name, st.Mode&^unix.S_IFMT)
		}
		if parent >= 0 {
			unix.Close(parent)
		}
		if err != nil {
			return -1, err
		}
		parent = fd
	}
	return parent, nil
}

func or(fd, otherwise int) int {
	if fd < 0 {
		return otherwise
	}
	return fd
}

// openBeneath follows symbolic links as long as they stay in root.
func openBeneath(root int, path string) (int, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS}
	for {
		fd, err := unix.Openat2(root, path, &how)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR): // a rename elsewhere: the kernel could not be sure
			continue
		case errors.Is(err, unix.EXDEV):
			return -1, fmt.Errorf("%s leads out of the volume", path)
		case errors.Is(err, unix.ENOSYS):
			return -1, errors.New("openat2: not supported (requires Linux >= 5.6)")
		case err != nil:
			return -1, &os.PathError{Op: "openat2", Path: path, Err: err}
		}
		return fd, nil
	}
}

// makeDirAt makes a directory in an open one. What has come into its place
// meanwhile is not followed when it is a link.
func makeDirAt(parent int, name string, mode uint32) (int, error) {
	if err := unix.Mkdirat(parent, name, mode); err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, &os.PathError{Op: "mkdirat", Path: name, Err: err}
	}
	fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "openat", Path: name, Err: err}
	}
	if err := unix.Fchmod(fd, mode); err != nil { // mkdirat applied the umask
		unix.Close(fd)
		return -1, os.NewSyscallError("fchmod", err)
	}
	return fd, nil
}

// makeTarget makes the place for the bind mount: a directory for a directory,
// an empty file for anything else.
func makeTarget(source int, target string) error {
	var st unix.Stat_t
	if err := unix.Fstat(source, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if err := os.RemoveAll(target); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return os.Mkdir(target, 0o750)
	}
	return os.WriteFile(target, nil, 0o640)
}
