// Package image keeps container images on disk and unpacks their layers.
//
// An image is three kinds of blob: a manifest, which lists digests; a config,
// which says how to run the image; and layers, which are tar archives of what
// each build step changed. A [Store] is an OCI image layout with two additions:
//
//	DIR/oci-layout, index.json   the names, one descriptor for each
//	DIR/blobs/sha256/HEX         manifests, configs and compressed layers
//	DIR/layers/HEX/fs            one layer unpacked, named by its diff ID
//	DIR/layers/HEX/usage.json    what it takes on disk
//	DIR/holds/ID                 the image that container ID runs from
//	DIR/mirrors.json             registries to ask in place of others; written by hand
//	DIR/tmp                      work in progress, emptied by Open
//
// A layer's diff ID is the digest of the uncompressed archive, so two images
// that were built on the same base name the same directory: it is unpacked
// once, and every container mounts it as a read-only overlay layer.
//
// A container that uses an image first calls [Store.Hold] and, when it is
// removed, [Store.Release]: in between its layers stay, whatever happens to
// the image's names.
//
// Several processes may open the same store. The locks are flock(2) on files
// in DIR and vanish with the process that holds them.
//
// Follows the OCI image specification 1.1: image-layout.md, layer.md.
package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// ErrNotFound means that the store has no image of that name, digest or id.
var ErrNotFound = errors.New("image not found")

// ErrAmbiguous means that an id prefix fits several images.
var ErrAmbiguous = errors.New("image id prefix fits several images")

// An Image is one image in the store, under all its names.
type Image struct {
	ID      string        // digest of the config, sha256:HEX
	Tags    []string      // fully qualified and sorted: docker.io/library/nginx:latest
	Digests []string      // as it was pulled: docker.io/library/nginx@sha256:HEX
	Size    int64         // bytes of manifest, config and compressed layers
	Config  v1.ConfigFile // how to run it
	Pinned  bool          // never a candidate for the kubelet's garbage collection

	manifest v1.Hash
}

// A Store is a directory of images. Its methods are safe for concurrent use.
type Store struct {
	dir    string
	layout layout.Path
	parsed sync.Map // v1.Hash of a manifest → content; blobs never change
}

// Open opens the store in dir and makes it when there is none. What a crashed
// process left half-done is removed, unless another process is at work.
func Open(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open image store: %w", err)
	}
	s := &Store{dir: dir, layout: layout.Path(dir)}
	for _, d := range []string{"blobs/sha256", "layers", "holds", "tmp"} {
		if err := os.MkdirAll(s.path(d), 0o755); err != nil {
			return nil, fmt.Errorf("open image store: %w", err)
		}
	}
	// Layers hold setuid programs at world-readable paths: only root may look.
	if err := os.Chmod(s.path("layers"), 0o700); err != nil {
		return nil, fmt.Errorf("open image store: %w", err)
	}
	if err := s.initialise(); err != nil {
		return nil, fmt.Errorf("open image store %s: %w", dir, err)
	}
	return s, nil
}

func (s *Store) initialise() error {
	unlock, err := s.lock(context.Background(), indexLock, exclusive)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(s.path("oci-layout")); errors.Is(err, os.ErrNotExist) {
		if err := s.writeIndex(nil); err != nil {
			return err
		}
		if err := s.writeFile("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
			return err
		}
	}
	return s.removeLeftovers()
}

// Dir is the store's directory, absolute.
func (s *Store) Dir() string { return s.dir }

func (s *Store) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// List returns every image, sorted by its first name. The error of one
// damaged image does not hide the others: it comes joined, beside them.
func (s *Store) List() ([]Image, error) {
	entries, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	byID := map[string]*Image{}
	var damaged []error
	for _, e := range entries {
		c, err := s.content(e.manifest)
		if err != nil {
			damaged = append(damaged, fmt.Errorf("image %s: %w", cmp.Or(e.name, e.manifest.String()), err))
			continue
		}
		id := c.id.String()
		if byID[id] == nil {
			byID[id] = &Image{ID: id, Size: c.size, Config: c.config, manifest: e.manifest}
		}
		byID[id].add(e)
	}
	images := make([]Image, 0, len(byID))
	for _, img := range byID {
		slices.Sort(img.Tags)
		slices.Sort(img.Digests)
		images = append(images, *img)
	}
	slices.SortFunc(images, func(a, b Image) int {
		return cmp.Or(cmp.Compare(a.Name(), b.Name()), cmp.Compare(a.ID, b.ID))
	})
	return images, errors.Join(damaged...)
}

func (i *Image) add(e entry) {
	switch {
	case e.name == "":
	case isDigest(e.name):
		i.Digests = append(i.Digests, e.name)
	default:
		i.Tags = append(i.Tags, e.name)
	}
	i.Pinned = i.Pinned || e.pinned
}

// Name is what to call the image in one word: a tag, else a digest, else its id.
func (i Image) Name() string {
	for _, names := range [][]string{i.Tags, i.Digests} {
		if len(names) > 0 {
			return names[0]
		}
	}
	return i.ID
}
