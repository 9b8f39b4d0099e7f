// Package userns hands out ranges of user and group ids to pods that have a
// user namespace of their own (hostUsers: false).
//
// Root in such a pod is an ordinary, unused id on the node. Every pod gets
// 65536 ids of its own, so that whatever escapes from one pod finds nothing
// that it may touch in another. A range is written beside the pod, in
// pods/UID/userns, before it is used: a restarted kubelet finds who has what.
//
// Upstream: pkg/kubelet/userns/userns_manager.go.
package userns

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// Length is the number of ids of every range.
const Length = 65536

// The file beside the pod that records its range.
const recordName = "userns"

// A Range is a block of host ids; id n in the pod is First+n on the node.
type Range struct {
	First uint32 `json:"hostId"`
}

// ErrExhausted means that as many pods as allowed have a range.
var ErrExhausted = errors.New("no range of user ids is free")

// An Allocator owns the ids of one node. Its methods may be called
// concurrently.
type Allocator struct {
	podsDir string

	mu     sync.Mutex  // guards the fields below
	owners []types.UID // by range; range 0 holds the node's own ids and is never given away
}

// New returns an allocator that keeps its records below podsDir
// (/var/lib/kubelet/pods), after reading what is there. Max bounds the number
// of pods with a range.
func New(podsDir string, max int) (*Allocator, error) {
	if limit := 1<<32/Length - 2; max < 1 || max > limit {
		return nil, fmt.Errorf("user namespaces: %d pods: want 1 to %d", max, limit)
	}
	a := &Allocator{podsDir: podsDir, owners: make([]types.UID, max+1)}
	records, err := filepath.Glob(filepath.Join(podsDir, "*", recordName))
	if err != nil {
		return nil, fmt.Errorf("find the user id ranges of pods: %w", err)
	}
	for _, path := range records {
		if err := a.recover(path); err != nil {
			return nil, fmt.Errorf("read the user id range of a pod: %w", err)
		}
	}
	return a, nil
}

func (a *Allocator) recover(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var r Range
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	i, uid := int(r.First/Length), types.UID(filepath.Base(filepath.Dir(path)))
	if r.First%Length != 0 || i == 0 {
		return fmt.Errorf("%s: %d is not the first id of a range", path, r.First)
	}
	if i >= len(a.owners) { // the limit was higher when it was given
		a.owners = append(a.owners, make([]types.UID, i+1-len(a.owners))...)
	}
	if other := a.owners[i]; other != "" {
		return fmt.Errorf("%s: pod %s has the same range", path, other)
	}
	a.owners[i] = uid
	return nil
}

// Get returns the pod's range: the one it has, or a new one.
func (a *Allocator) Get(uid types.UID) (Range, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	free := 0
	for i, owner := range a.owners[1:] {
		if owner == uid {
			return Range{First: uint32(i+1) * Length}, nil
		}
		if owner == "" && free == 0 {
			free = i + 1
		}
	}
	if free == 0 {
		return Range{}, fmt.Errorf("pod %s: %w (%d are in use)", uid, ErrExhausted, len(a.owners)-1)
	}
	r := Range{First: uint32(free) * Length}
	if err := a.write(uid, r); err != nil {
		return Range{}, fmt.Errorf("record the user id range of pod %s: %w", uid, err)
	}
	a.owners[free] = uid
	return r, nil
}

// write is all or nothing, and lasts: two pods with the same range after a
// power cut would be able to read each other's files.
func (a *Allocator) write(uid types.UID, r Range) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	dir := filepath.Join(a.podsDir, string(uid))
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, recordName+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, recordName))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Release gives the pod's range back. It succeeds when the pod has none. Call
// it when no process of the pod is left.
func (a *Allocator) Release(uid types.UID) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	err := os.Remove(filepath.Join(a.podsDir, string(uid), recordName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("release the user id range of pod %s: %w", uid, err)
	}
	for i, owner := range a.owners {
		if owner == uid {
			a.owners[i] = ""
		}
	}
	return nil
}
