package layer

import (
	"archive/tar"
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// paxXattr starts the PAX records that carry extended attributes.
const paxXattr = "SCHILY.xattr."

// mode gives the bits of chmod(2), setuid, setgid and sticky included.
func mode(h *tar.Header) uint32 { return uint32(h.Mode) & 0o7777 }

// setFile sets what a file or directory has besides its content. The order
// matters: chown(2) clears setuid bits and capabilities.
func setFile(h *tar.Header, f *os.File) error {
	fd := int(f.Fd())
	if err := unix.Fchown(fd, h.Uid, h.Gid); err != nil {
		return fmt.Errorf("chown: %w", err)
	}
	if err := unix.Fchmod(fd, mode(h)); err != nil {
		return fmt.Errorf("chmod: %w", err)
	}
	for record, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(record, paxXattr)
		if !ok || !keepXattr(name) {
			continue
		}
		if err := unix.Fsetxattr(fd, name, []byte(value), 0); err != nil {
			return fmt.Errorf("set xattr %q: %w", name, err)
		}
	}
	return nil
}

// keepXattr says whether an image may set an attribute. overlayfs obeys
// trusted.overlay.* (a redirect would lead out of the layer), security labels
// are the host's, and ACLs name the host's users.
func keepXattr(name string) bool {
	if name == "security.capability" {
		return true
	}
	return strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, "user.overlay.")
}

// setLink is setFile for what can't be opened: symlinks and FIFOs.
func setLink(h *tar.Header, at place) error {
	if err := unix.Fchownat(at.dir, at.base, h.Uid, h.Gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("chown: %w", err)
	}
	return setTimes(h.ModTime, at)
}

func setTimes(t time.Time, at place) error {
	stamp, err := unix.TimeToTimespec(t)
	if err != nil {
		return fmt.Errorf("modification time %v: %w", t, err)
	}
	times := []unix.Timespec{stamp, stamp}
	if err := unix.UtimesNanoAt(at.dir, at.base, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("set times: %w", err)
	}
	return nil
}

// finishDirectories sets times from the last directory to the first. One that
// a later entry has replaced is passed over.
func (w *writer) finishDirectories() error {
	for i := len(w.directories) - 1; i >= 0; i-- {
		d := w.directories[i]
		parent, err := w.open(path.Dir(d.name))
		if err != nil {
			continue
		}
		err = setTimes(d.time, place{int(parent.Fd()), path.Base(d.name)})
		parent.Close()
		if err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("layer entry %q: %w", d.name, err)
		}
	}
	return nil
}

// setRoot takes owner, mode and time of the image's root directory.
func (w *writer) setRoot(h *tar.Header) error {
	if h.Typeflag != tar.TypeDir {
		return fmt.Errorf("%w: the root must be a directory", ErrUnsafePath)
	}
	d, err := w.open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	w.directories = append(w.directories, finish{".", h.ModTime})
	return setFile(h, d)
}
