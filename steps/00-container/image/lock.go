package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The store's locks, in the order in which they may be taken.
const (
	contentLock = "lock"        // shared: blobs and layers are being added; exclusive: they are being removed
	unpackLock  = "unpack.lock" // exclusive: layers are being unpacked
	indexLock   = "index.lock"  // exclusive: index.json is being replaced
)

type lockMode int

const (
	shared    lockMode = unix.LOCK_SH
	exclusive lockMode = unix.LOCK_EX
)

var errLocked = errors.New("another process is using it")

// lock waits for a lock until ctx is done. Each call opens the file anew, so
// goroutines exclude each other just as processes do.
func (s *Store) lock(ctx context.Context, name string, mode lockMode) (unlock func(), err error) {
	for {
		unlock, err := s.tryLock(name, mode)
		if !errors.Is(err, errLocked) {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %s: %w", s.path(name), ctx.Err())
		case <-time.After(5 * time.Millisecond): // flock(2) itself can't be cancelled
		}
	}
}

func (s *Store) tryLock(name string, mode lockMode) (unlock func(), err error) {
	f, err := os.OpenFile(s.path(name), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), int(mode)|unix.LOCK_NB)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		if err == unix.EWOULDBLOCK {
			err = errLocked
		}
		return nil, fmt.Errorf("lock %s: %w", s.path(name), err)
	}
	return func() { f.Close() }, nil
}
