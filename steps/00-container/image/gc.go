package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// removeLeftovers deletes what a crashed process left in DIR/tmp. While any
// other process adds content, the leftovers may be its own: they stay.
func (s *Store) removeLeftovers() error {
	unlock, err := s.tryLock(contentLock, exclusive)
	if errors.Is(err, errLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	return s.emptyTmp()
}

func (s *Store) emptyTmp() error {
	files, err := os.ReadDir(s.path("tmp"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := os.RemoveAll(s.path("tmp", f.Name())); err != nil {
			return fmt.Errorf("remove leftover: %w", err)
		}
	}
	return nil
}

// A Freed says what a garbage collection removed.
type Freed struct {
	Blobs, Layers int
	Bytes         int64
}

// GC removes blobs and layers that no name and no holder needs. It waits
// until no image is being added.
func (s *Store) GC(ctx context.Context) (Freed, error) {
	unlock, err := s.lock(ctx, contentLock, exclusive)
	if err != nil {
		return Freed{}, fmt.Errorf("collect images: %w", err)
	}
	defer unlock()
	freed, err := s.collect()
	if err != nil {
		return freed, fmt.Errorf("collect images: %w", err)
	}
	return freed, nil
}

// collectIfIdle is GC that gives way to an image being added: the next
// collection makes up for it.
func (s *Store) collectIfIdle() error {
	unlock, err := s.tryLock(contentLock, exclusive)
	if errors.Is(err, errLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	_, err = s.collect()
	return err
}

// collect runs under the exclusive content lock.
func (s *Store) collect() (Freed, error) {
	blobs, layers, err := s.needed()
	if err != nil {
		return Freed{}, err
	}
	var freed Freed
	if err := s.emptyTmp(); err != nil {
		return freed, err
	}
	if freed.Layers, err = s.sweep("layers", layers, &freed.Bytes); err != nil {
		return freed, err
	}
	freed.Blobs, err = s.sweep("blobs/sha256", blobs, &freed.Bytes)
	return freed, err
}

// needed marks what the names and the holders reach. A manifest that can't be
// read stops the collection: what it lists is unknown.
func (s *Store) needed() (blobs, layers map[string]bool, err error) {
	manifests, err := s.roots()
	if err != nil {
		return nil, nil, err
	}
	blobs, layers = map[string]bool{}, map[string]bool{}
	for m := range manifests {
		c, err := s.content(m)
		if err != nil {
			return nil, nil, fmt.Errorf("image %s: %w", m, err)
		}
		blobs[m.Hex], blobs[c.id.Hex] = true, true
		for _, l := range c.manifest.Layers {
			blobs[l.Digest.Hex] = true
		}
		for _, id := range c.config.RootFS.DiffIDs {
			layers[id.Hex] = true
		}
	}
	return blobs, layers, nil
}

func (s *Store) roots() (map[v1.Hash]bool, error) {
	entries, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	holds, err := s.holds()
	if err != nil {
		return nil, err
	}
	roots := map[v1.Hash]bool{}
	for _, e := range entries {
		roots[e.manifest] = true
	}
	for _, manifest := range holds {
		roots[manifest] = true
	}
	return roots, nil
}

// sweep removes what is not needed. It goes through tmp, so that a crash
// leaves a whole layer or none.
func (s *Store) sweep(dir string, needed map[string]bool, bytes *int64) (int, error) {
	files, err := os.ReadDir(s.path(dir))
	if err != nil {
		return 0, err
	}
	removed := 0
	for _, f := range files {
		if needed[f.Name()] {
			continue
		}
		*bytes += s.sizeOf(filepath.Join(dir, f.Name()))
		dead := s.path("tmp", "dead-"+f.Name())
		if err := os.Rename(s.path(dir, f.Name()), dead); err != nil {
			return removed, err
		}
		if err := os.RemoveAll(dead); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}
