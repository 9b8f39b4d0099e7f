package state

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Lock waits until this goroutine alone holds the lock at path, among all
// goroutines and processes, and returns what gives it back. A holder that dies
// gives it back by dying.
func Lock(path string) (unlock func(), err error) {
	for {
		f, err := lockOnce(path, unix.LOCK_EX)
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if f != nil {
			return func() { f.Close() }, nil
		}
	}
}

// TryLock is Lock without waiting. It returns nil if another holds the lock.
func TryLock(path string) (unlock func(), err error) {
	f, err := lockOnce(path, unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK || f == nil && err == nil {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

// lockOnce returns nil when the file was removed while it waited: then the
// lock that it got is nobody's, and the caller tries again.
func lockOnce(path string, how int) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		if err = unix.Flock(int(f.Fd()), how); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	held, err1 := f.Stat()
	there, err2 := os.Stat(path)
	if err1 != nil || err2 != nil || !os.SameFile(held, there) {
		f.Close()
		return nil, nil
	}
	return f, nil
}
