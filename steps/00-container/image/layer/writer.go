package layer

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A writer creates a layer's entries below root.
type writer struct {
	root    *os.Root
	limits  Limits
	usage   Usage
	entries int

	// The directory of the entry before this one: archives list a directory's
	// entries one after the other.
	parent     *os.File
	parentName string

	directories []finish
}

// finish is what is left to do for a directory once everything is in it.
type finish struct {
	name string
	time time.Time
}

// A place is where an entry goes: an open directory and a name in it.
type place struct {
	dir  int // file descriptor, owned by the writer
	base string
}

func (w *writer) close() { w.leaveParent() }

func (w *writer) write(h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	if w.entries++; w.entries > w.limits.Entries {
		return fmt.Errorf("%w: more than %d entries", ErrTooLarge, w.limits.Entries)
	}
	name, err := w.clean(h.Name)
	if err != nil {
		return err
	}
	if name == "." {
		return w.setRoot(h)
	}
	at, err := w.place(name)
	if err != nil {
		return err
	}
	if strings.HasPrefix(at.base, whiteoutPrefix) {
		return w.whiteout(at)
	}
	return w.create(h, name, at, content)
}

// clean turns the name of an entry into a path relative to the root. A leading
// slash means the root of the layer; a ".." is refused wherever it stands.
func (w *writer) clean(name string) (string, error) {
	if len(name) > w.limits.Path {
		return "", fmt.Errorf("%w: its name has %d bytes, more than %d", ErrTooLarge, len(name), w.limits.Path)
	}
	if strings.ContainsRune(name, 0) {
		return "", fmt.Errorf("%w: its name has a zero byte", ErrUnsafePath)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", ErrUnsafePath
		}
	}
	if relative := strings.TrimPrefix(path.Clean("/"+name), "/"); relative != "" {
		return relative, nil
	}
	return ".", nil
}

func (w *writer) create(h *tar.Header, name string, at place, content io.Reader) error {
	switch h.Typeflag {
	case tar.TypeChar, tar.TypeBlock:
		return ErrDevice
	case tar.TypeDir:
		return w.directory(h, name, at)
	}
	there, err := w.clear(at)
	if err != nil {
		return err
	}
	if there == aDirectory {
		if err := w.root.RemoveAll(name); err != nil {
			return err
		}
	}
	w.usage.Inodes++
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		return w.regular(h, at, content)
	case tar.TypeSymlink:
		if err := unix.Symlinkat(h.Linkname, at.dir, at.base); err != nil {
			return fmt.Errorf("symlink: %w", err)
		}
		return setLink(h, at)
	case tar.TypeLink:
		w.usage.Inodes--
		return w.hardLink(h, at)
	case tar.TypeFifo:
		if err := unix.Mknodat(at.dir, at.base, unix.S_IFIFO|0o600, 0); err != nil {
			return fmt.Errorf("fifo: %w", err)
		}
		if err := setLink(h, at); err != nil {
			return err
		}
		return unix.Fchmodat(at.dir, at.base, mode(h), 0)
	}
	return fmt.Errorf("unknown entry type %q", h.Typeflag)
}

func (w *writer) regular(h *tar.Header, at place, content io.Reader) error {
	if h.Size > w.limits.Bytes || w.usage.Bytes+h.Size > w.limits.Bytes {
		return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, w.limits.Bytes)
	}
	fd, err := unix.Openat(at.dir, at.base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	f := os.NewFile(uintptr(fd), at.base)
	defer f.Close()
	n, err := io.Copy(f, content)
	w.usage.Bytes += n
	if err != nil {
		return err
	}
	if err := setFile(h, f); err != nil {
		return err
	}
	return setTimes(h.ModTime, at)
}

func (w *writer) directory(h *tar.Header, name string, at place) error {
	there, err := w.clear(at)
	if err != nil {
		return err
	}
	d, err := w.openDirectory(at, there)
	if err != nil {
		return err
	}
	defer d.Close()
	w.directories = append(w.directories, finish{name, h.ModTime})
	return setFile(h, d)
}

// openDirectory makes the directory unless it is there. In place of a whiteout
// it must hide what the layers below have at that name.
func (w *writer) openDirectory(at place, there existing) (*os.File, error) {
	if there != aDirectory {
		if err := unix.Mkdirat(at.dir, at.base, 0o755); err != nil {
			return nil, fmt.Errorf("mkdir: %w", err)
		}
		w.usage.Inodes++
	}
	fd, err := unix.Openat(at.dir, at.base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	d := os.NewFile(uintptr(fd), at.base)
	if there == aWhiteout {
		if err := setOpaque(fd); err != nil {
			d.Close()
			return nil, err
		}
	}
	return d, nil
}

// hardLink links to another entry of this layer. linkat(2) without flags does
// not follow a symlink at the end, and both ends are inside the root.
func (w *writer) hardLink(h *tar.Header, at place) error {
	target, err := w.clean(h.Linkname)
	if err != nil {
		return fmt.Errorf("hard link to %.200q: %w", h.Linkname, err)
	}
	dir, err := w.open(path.Dir(target))
	if err != nil {
		return fmt.Errorf("hard link to %.200q: %w", h.Linkname, err)
	}
	defer dir.Close()
	if err := unix.Linkat(int(dir.Fd()), path.Base(target), at.dir, at.base, 0); err != nil {
		return fmt.Errorf("hard link to %.200q: %w", h.Linkname, err)
	}
	return nil
}

// existing is what an entry finds in its place.
type existing int

const (
	nothing existing = iota
	aDirectory
	aWhiteout
)

// clear makes room for an entry: a later one replaces an earlier one of the
// same name, except that a directory stays for the directory that follows.
func (w *writer) clear(at place) (existing, error) {
	var st unix.Stat_t
	err := unix.Fstatat(at.dir, at.base, &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, fs.ErrNotExist) {
		return nothing, nil
	}
	if err != nil {
		return nothing, err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return aDirectory, nil
	}
	if err := unix.Unlinkat(at.dir, at.base, 0); err != nil {
		return nothing, err
	}
	w.usage.Inodes--
	if st.Mode&unix.S_IFMT == unix.S_IFCHR {
		return aWhiteout, nil
	}
	return nothing, nil
}

// place opens the directory in which an entry is created, and makes the
// directories that the archive left out.
func (w *writer) place(name string) (place, error) {
	parent, base := path.Dir(name), path.Base(name)
	if w.parent != nil && w.parentName == parent {
		return place{int(w.parent.Fd()), base}, nil
	}
	d, err := w.open(parent)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		d, err = w.makeParent(parent)
	}
	if err != nil {
		return place{}, err
	}
	w.leaveParent()
	w.parent, w.parentName = d, parent
	return place{int(d.Fd()), base}, nil
}

// open follows symlinks as long as they are relative and stay below the root.
func (w *writer) open(dir string) (*os.File, error) {
	d, err := w.root.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if _, isErrno := errors.AsType[unix.Errno](err); err != nil && !isErrno {
		return nil, fmt.Errorf("%w: %w", ErrUnsafePath, err) // what os.Root found is no errno
	}
	return d, err
}

// makeParent makes a directory where there is nothing or a whiteout. It does
// not replace a file or a link that leads nowhere.
func (w *writer) makeParent(name string) (*os.File, error) {
	at, err := w.place(name)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	err = unix.Fstatat(at.dir, at.base, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return nil, fmt.Errorf("%w: %q is no directory of this layer", ErrUnsafePath, name)
	}
	there, err := w.clear(at)
	if err != nil {
		return nil, err
	}
	return w.openDirectory(at, there)
}

func (w *writer) leaveParent() {
	if w.parent != nil {
		w.parent.Close()
		w.parent = nil
	}
}
