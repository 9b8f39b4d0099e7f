// Package overlay mounts a container's root file system: the image's layers,
// read-only and shared with every other container, below one directory that is
// the container's own.
//
// See the kernel's Documentation/filesystems/overlayfs.rst.
package overlay

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Rootfs is an overlay file system.
type Rootfs struct {
	Lower []string `json:"lower"`           // the layers, base layer first
	Upper string   `json:"upper,omitempty"` // what the container changes; none means read-only
	Work  string   `json:"work,omitempty"`  // overlayfs's own, on the file system of Upper
	// UserNS, with a user namespace, is its path such as /proc/PID/ns/user. The
	// layers are then seen through its mapping: what root owns on disk belongs
	// to root in the namespace.
	UserNS string `json:"userNS,omitempty"`
	// UID and GID are who root in the user namespace is outside. The upper
	// directory, which is the top of the merged tree, belongs to them.
	UID int `json:"uid,omitempty"`
	GID int `json:"gid,omitempty"`
}

// Mount mounts the file system at target. Scratch is a directory that Mount
// may fill while it works.
func (r Rootfs) Mount(target, scratch string) error {
	if err := r.makeUpper(); err != nil {
		return err
	}
	lower := r.Lower
	if r.UserNS != "" {
		mapped, undo, err := idmap(r.Lower, r.UserNS, scratch)
		defer undo() // the overlay has its own private clones by then
		if err != nil {
			return err
		}
		lower = mapped
	}
	options, files, err := r.options(lower)
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if err != nil {
		return err
	}
	if err := unix.Mount("overlay", target, "overlay", 0, options); err != nil {
		return fmt.Errorf("mount overlay on %s with %s: %w", target, options, err)
	}
	return nil
}

func (r Rootfs) makeUpper() error {
	if r.Upper == "" {
		return nil
	}
	for _, dir := range []string{r.Upper, r.Work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.Chown(dir, r.UID, r.GID); err != nil {
			return err
		}
	}
	return nil
}

// maxOptions is what mount(2) takes: a page, with its final zero.
const maxOptions = 4095

// options renders the mount options. overlayfs wants the topmost layer first.
// When the paths are too long for one page, they are replaced by open files.
func (r Rootfs) options(lower []string) (string, []*os.File, error) {
	options := r.render(lower)
	if len(options) <= maxOptions {
		return options, nil, nil
	}
	var files []*os.File
	short := make([]string, len(lower))
	for i, dir := range lower {
		f, err := os.OpenFile(dir, unix.O_PATH, 0)
		if err != nil {
			return "", files, err
		}
		files = append(files, f)
		short[i] = "/proc/self/fd/" + strconv.Itoa(int(f.Fd()))
	}
	options = r.render(short)
	if len(options) > maxOptions {
		return "", files, fmt.Errorf("overlay of %d layers: too many for the options of one mount", len(lower))
	}
	return options, files, nil
}

func (r Rootfs) render(lower []string) string {
	top := make([]string, 0, len(lower)+1)
	for i := len(lower) - 1; i >= 0; i-- {
		top = append(top, escape.Replace(lower[i]))
	}
	if r.Upper == "" && len(top) == 1 {
		top = append(top, top[0]) // an overlay without an upper needs two layers
	}
	options := "lowerdir=" + strings.Join(top, ":")
	if r.Upper != "" {
		// volatile: no sync on umount. What a container wrote is gone with it.
		options += ",upperdir=" + escape.Replace(r.Upper) + ",workdir=" + escape.Replace(r.Work) + ",volatile"
	}
	return options
}

var escape = strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`)

// idmap clones each layer's directory as a mount that is seen through a user
// namespace, below scratch. Undo takes them away again.
func idmap(lower []string, userns, scratch string) (mapped []string, undo func(), err error) {
	undo = func() {
		for _, dir := range mapped {
			unix.Unmount(dir, unix.MNT_DETACH)
			os.Remove(dir)
		}
	}
	ns, err := os.Open(userns)
	if err != nil {
		return nil, undo, err
	}
	defer ns.Close()
	for i, dir := range lower {
		at := filepath.Join(scratch, "lower"+strconv.Itoa(i))
		if err := os.Mkdir(at, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return mapped, undo, err
		}
		mapped = append(mapped, at)
		if err := mountMapped(dir, at, int(ns.Fd())); err != nil {
			return mapped, undo, err
		}
	}
	return mapped, undo, nil
}

func mountMapped(dir, at string, userns int) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("clone the mount of %s: %w", dir, err)
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(userns)}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fmt.Errorf("map the ids of %s: %w (its file system must support idmapped mounts: ext4, xfs, btrfs since Linux 5.15, tmpfs since 6.3)", dir, err)
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount %s at %s: %w", dir, at, err)
	}
	return nil
}

// Unmount takes a mount away. It succeeds when there is none.
func Unmount(target string) error {
	err := unix.Unmount(target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("unmount %s: %w", target, err)
	}
	return nil
}
