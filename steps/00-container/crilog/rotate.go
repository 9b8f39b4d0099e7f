package crilog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A Limit is how much log to keep: the file being written, up to MaxBytes, and
// MaxFiles-1 older ones, named LOG.1 (the newest) and so on.
//
// kubelet's container_log_manager.go names rotated files by the time and
// compresses them; the numbers here are logrotate's.
type Limit struct {
	MaxBytes int64
	MaxFiles int
}

// Rotate renames the log at path when it has outgrown its limit, and removes
// the oldest. It reports whether it did; the writer must then reopen the log,
// and until it does it writes on into the renamed file, so nothing is lost.
func Rotate(path string, limit Limit) (bool, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // renamed earlier, and not reopened yet
	}
	if err != nil || limit.MaxBytes <= 0 || info.Size() < limit.MaxBytes {
		return false, err
	}
	keep := max(limit.MaxFiles-1, 1)
	for i := keep; i >= 1; i-- {
		older := numbered(path, i)
		newer := path
		if i > 1 {
			newer = numbered(path, i-1)
		}
		if err := os.Rename(newer, older); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	return true, nil
}

// Restore gives the log at path its name back when it was rotated and the writer
// did not reopen it: what was written last must not seem lost.
func Restore(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(numbered(path, 1), path)
}

// Remove removes the log at path and the older ones.
func Remove(path string) error {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); name != base && !strings.HasPrefix(name, base+".") {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func numbered(path string, i int) string { return fmt.Sprintf("%s.%d", path, i) }
