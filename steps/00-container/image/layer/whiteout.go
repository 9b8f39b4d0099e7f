package layer

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

// Names with a meaning, from AUFS by way of Docker into the specification.
const (
	whiteoutPrefix = ".wh."
	whiteoutMeta   = ".wh..wh."     // AUFS's own records, which mean nothing here
	whiteoutOpaque = ".wh..wh..opq" // hides all that lower layers have in this directory
)

// whiteout hides a name of the layers below. An entry of the same name in this
// layer stays, and only what is below it is hidden: a file hides it anyway, a
// directory must become opaque.
func (w *writer) whiteout(at place) error {
	switch {
	case at.base == whiteoutOpaque:
		return setOpaque(at.dir)
	case strings.HasPrefix(at.base, whiteoutMeta):
		return nil
	}
	base := strings.TrimPrefix(at.base, whiteoutPrefix)
	if base == "" || base == "." || base == ".." {
		return fmt.Errorf("%w: whiteout of %q", ErrUnsafePath, base)
	}
	err := unix.Mknodat(at.dir, base, unix.S_IFCHR, 0)
	if errors.Is(err, fs.ErrExist) {
		return makeOpaque(place{at.dir, base})
	}
	if err != nil {
		return fmt.Errorf("whiteout: %w", err)
	}
	w.usage.Inodes++
	return nil
}

// makeOpaque makes a directory opaque and leaves anything else alone.
func makeOpaque(at place) error {
	fd, err := unix.Openat(at.dir, at.base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("whiteout: %w", err)
	}
	defer unix.Close(fd)
	return setOpaque(fd)
}

func setOpaque(dir int) error {
	if err := unix.Fsetxattr(dir, "trusted.overlay.opaque", []byte("y"), 0); err != nil {
		return fmt.Errorf("make directory opaque: %w", err)
	}
	return nil
}
