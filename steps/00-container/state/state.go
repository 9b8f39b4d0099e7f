// Package state is what the runtime knows about pods, as files.
//
// The files are the truth and there is no other: a process that manages pods
// can be killed at any moment, and the next one finds everything by reading.
// Each fact has one writer, so no file is ever changed by two sides:
//
//	ROOT/pods/SANDBOX/sandbox.json                        the manager: what was asked for, and the network result
//	ROOT/pods/SANDBOX/containers/CONTAINER/container.json the manager: what was asked for
//	ROOT/pods/SANDBOX/containers/CONTAINER/started.json   the shim: the process that runs
//	ROOT/pods/SANDBOX/containers/CONTAINER/exit.json      the shim: how it ended
//	ROOT/pods/SANDBOX/containers/CONTAINER/{upper,work}   the writable layer
//	STATE/pods/SANDBOX/…                                  sockets, mount points, generated files
//
// A file appears by rename, whole or not at all. Nothing is synced to disk:
// kill -9 leaves the page cache alone, and a power cut ends every process that
// the files describe; what it leaves torn is read as missing.
package state

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// ErrNotFound is returned for a sandbox or container that is not there.
var ErrNotFound = errors.New("not found")

// Dirs are the two places of a runtime.
type Dirs struct {
	Root  string // survives a reboot
	State string // does not
}

// Pod is the directory of what is kept about a sandbox.
func (d Dirs) Pod(sandbox string) string { return filepath.Join(d.Root, "pods", sandbox) }

// Container is the directory of what is kept about a container.
func (d Dirs) Container(sandbox, id string) string {
	return filepath.Join(d.Pod(sandbox), "containers", id)
}

// RunPod is the directory of a sandbox's sockets and mount points.
func (d Dirs) RunPod(sandbox string) string { return filepath.Join(d.State, "pods", sandbox) }

// RunContainer is the directory of a container's mount points and bundle.
func (d Dirs) RunContainer(sandbox, id string) string {
	return filepath.Join(d.RunPod(sandbox), "containers", id)
}

// Netns is the path that keeps a sandbox's network namespace.
func (d Dirs) Netns(sandbox string) string { return filepath.Join(d.State, "netns", sandbox) }

// NewID returns 32 random bytes in hexadecimal, the form of every id here.
func NewID() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails, by its documentation
	return hex.EncodeToString(b)
}

// Write puts v at path as JSON, replacing what was there in one step.
func Write(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", filepath.Base(path), err)
	}
	return WriteFile(path, append(data, '\n'), 0o600)
}

// WriteFile puts data at path, replacing what was there in one step.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// Read fills v from path. A file that is missing, empty or torn is ErrNotFound.
func Read(path string, v any) error {
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w (%w)", path, ErrNotFound, err)
	}
	return nil
}

// A Cache remembers decoded files for as long as they are the same files, so
// that listing a node's pods costs one stat for each instead of one read.
type Cache[T any] struct {
	mu      sync.Mutex // guards the fields below
	entries map[string]cached[T]
	prune   int // with so many entries those of files that are gone are looked for
}

type cached[T any] struct {
	ino   uint64
	mtime time.Time
	size  int64
	value *T
}

// Read returns the decoded file at path, which the caller must not change.
func (c *Cache[T]) Read(path string) (*T, error) {
	info, err := os.Stat(path)
	if err != nil {
		c.mu.Lock()
		delete(c.entries, path)
		c.mu.Unlock()
		return nil, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	key := cached[T]{ino: info.Sys().(*syscall.Stat_t).Ino, mtime: info.ModTime(), size: info.Size()}
	c.mu.Lock()
	hit, ok := c.entries[path]
	c.mu.Unlock()
	if ok && hit.ino == key.ino && hit.size == key.size && hit.mtime.Equal(key.mtime) {
		return hit.value, nil
	}
	key.value = new(T)
	if err := Read(path, key.value); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = map[string]cached[T]{}
	}
	if len(c.entries) >= c.prune {
		maps.DeleteFunc(c.entries, func(path string, _ cached[T]) bool { return !exists(path) })
		c.prune = 2*len(c.entries) + 64
	}
	c.entries[path] = key
	return key.value, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
