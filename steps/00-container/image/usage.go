package image

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/k8s-groundup/groundup/steps/00-container/image/layer"
)

// Usage is what the store takes on disk, in bytes.
type Usage struct {
	Blobs  int64 // manifests, configs and compressed layers
	Layers int64 // unpacked layers
	Inodes int64 // files in unpacked layers

	// Shared is what sharing saves: how much more the layers would take if
	// each image had its own copy.
	Shared int64
}

// Usage adds up the store's content.
func (s *Store) Usage() (Usage, error) {
	var u Usage
	blobs, err := os.ReadDir(s.path("blobs/sha256"))
	if err != nil {
		return u, fmt.Errorf("image store usage: %w", err)
	}
	for _, b := range blobs {
		u.Blobs += s.sizeOf(filepath.Join("blobs/sha256", b.Name()))
	}
	layers, err := os.ReadDir(s.path("layers"))
	if err != nil {
		return u, fmt.Errorf("image store usage: %w", err)
	}
	for _, l := range layers {
		usage := s.layerUsage(l.Name())
		u.Layers += usage.Bytes
		u.Inodes += usage.Inodes
	}
	u.Shared, err = s.saved()
	return u, err
}

// saved counts, for each layer, all images that have it but the first.
func (s *Store) saved() (int64, error) {
	images, err := s.List()
	if err != nil {
		return 0, err
	}
	var saved int64
	seen := map[string]bool{}
	for _, img := range images {
		for _, id := range img.Config.RootFS.DiffIDs {
			if seen[id.Hex] {
				saved += s.layerUsage(id.Hex).Bytes
			}
			seen[id.Hex] = true
		}
	}
	return saved, nil
}

// layerUsage is zero for a layer that is not unpacked.
func (s *Store) layerUsage(hex string) layer.Usage {
	var u layer.Usage
	if raw, err := os.ReadFile(s.path("layers", hex, "usage.json")); err == nil {
		_ = json.Unmarshal(raw, &u) // damaged: counts as nothing
	}
	return u
}

// sizeOf is the size of a blob, or of an unpacked layer.
func (s *Store) sizeOf(name string) int64 {
	info, err := os.Stat(s.path(name))
	if err != nil {
		return 0
	}
	if info.IsDir() {
		return s.layerUsage(info.Name()).Bytes
	}
	return info.Size()
}
