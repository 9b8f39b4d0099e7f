package crilog

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// changes is an inotify watch on the directory of a log: it sees writes to the
// file, its renaming, and the new file of that name.
type changes struct {
	file *os.File
	buf  []byte
}

func watch(path string) (*changes, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	c := &changes{os.NewFile(uintptr(fd), "inotify"), make([]byte, 4096)}
	const mask = unix.IN_MODIFY | unix.IN_CREATE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO
	if _, err := unix.InotifyAddWatch(fd, filepath.Dir(path), mask); err != nil {
		c.Close()
		return nil, &os.PathError{Op: "inotify_add_watch", Path: filepath.Dir(path), Err: err}
	}
	return c, nil
}

// Wait returns when something has changed, and after half a second in any
// case, so that the reader can ask whether the log has ended.
func (c *changes) Wait(ctx context.Context) error {
	if err := c.file.SetReadDeadline(time.Now().Add(time.Second / 2)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { c.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	_, err := c.file.Read(c.buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	return errors.Join(err, ctx.Err())
}

func (c *changes) Close() error { return c.file.Close() }
