// Package bootable flattens a container image into one directory: the lower layers
// of an overlay, put on top of each other for good. With the image's config beside,
// it is what vms/bootable makes a machine's disk of.
package bootable

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ConfigFile is where the machine's first program looks for what to run.
const ConfigFile = "etc/groundup/image.json"

// Flatten writes to dir, which is empty, what an overlay of the layers would show:
// the base layer first, as [image.Store.Layers] returns them. It wants root, since
// files keep their owners.
func Flatten(layers []string, dir string) error {
	for _, layer := range layers {
		if err := add(layer, dir); err != nil {
			return fmt.Errorf("layer %s: %w", filepath.Base(filepath.Dir(layer)), err)
		}
	}
	return nil
}

// WriteConfig leaves the image's config, as JSON has it, in a flattened root.
func WriteConfig(config any, dir string) error {
	b, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, ConfigFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// add puts one layer on top. Directories are walked before what is in them, so a
// whiteout in an upper layer meets all that lower ones have put there.
func add(layer, dir string) error {
	links := map[uint64]string{} // of files with several names, by inode
	return filepath.WalkDir(layer, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(layer, path)
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		return put(path, filepath.Join(dir, rel), st, links)
	})
}

// put copies one entry of a layer over what is there.
func put(from, to string, st unix.Stat_t, links map[uint64]string) error {
	kind := st.Mode & unix.S_IFMT
	if kind == unix.S_IFCHR && st.Rdev == 0 {
		return os.RemoveAll(to) // a whiteout: overlayfs.rst, "whiteouts and opaque directories"
	}
	if kind == unix.S_IFDIR {
		return putDir(from, to, st)
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if first := links[st.Ino]; first != "" {
		return os.Link(first, to)
	}
	if st.Nlink > 1 {
		links[st.Ino] = to
	}
	var err error
	switch kind {
	case unix.S_IFREG:
		err = copyFile(from, to)
	case unix.S_IFLNK:
		var target string
		if target, err = os.Readlink(from); err == nil {
			err = os.Symlink(target, to)
		}
	default:
		err = unix.Mknod(to, st.Mode, int(st.Rdev))
	}
	if err != nil {
		return err
	}
	return setMetadata(from, to, st)
}

// putDir merges a directory with the one of lower layers, which an opaque one
// hides.
func putDir(from, to string, st unix.Stat_t) error {
	info, err := os.Lstat(to)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !info.IsDir() || opaque(from):
		if err := os.RemoveAll(to); err != nil {
			return err
		}
	}
	if err := os.Mkdir(to, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return setMetadata(from, to, st)
}

func opaque(dir string) bool {
	var value [2]byte
	n, err := unix.Lgetxattr(dir, "trusted.overlay.opaque", value[:])
	return err == nil && n == 1 && value[0] == 'y'
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(err, out.Close())
	}
	return out.Close()
}

// setMetadata gives owner, mode, capabilities and times: the owner first, because
// a change of owner clears the other two.
func setMetadata(from, to string, st unix.Stat_t) error {
	if err := unix.Lchown(to, int(st.Uid), int(st.Gid)); err != nil {
		return fmt.Errorf("owner of %s: %w", to, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := unix.Chmod(to, st.Mode&0o7777); err != nil {
			return fmt.Errorf("mode of %s: %w", to, err)
		}
	}
	const capability = "security.capability"
	value := make([]byte, 256)
	if n, err := unix.Lgetxattr(from, capability, value); err == nil {
		if err := unix.Lsetxattr(to, capability, value[:n], 0); err != nil {
			return fmt.Errorf("capabilities of %s: %w", to, err)
		}
	}
	times := []unix.Timespec{st.Atim, st.Mtim}
	return unix.UtimesNanoAt(unix.AT_FDCWD, to, times, unix.AT_SYMLINK_NOFOLLOW)
}
