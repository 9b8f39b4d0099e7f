package image

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	nameAnnotation   = "org.opencontainers.image.ref.name"
	pinnedAnnotation = "io.cri-containerd.pinned" // containerd's word for it
)

// An entry is one line of index.json: a name and the manifest it stands for.
// An image that lost its last tag to a newer image keeps an entry without a name.
type entry struct {
	name     string
	manifest v1.Hash
	size     int64
	media    types.MediaType
	pinned   bool
}

func (s *Store) readIndex() ([]entry, error) {
	raw, err := os.ReadFile(s.path("index.json"))
	if err != nil {
		return nil, fmt.Errorf("read image index: %w", err)
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, fmt.Errorf("read image index %s: %w", s.path("index.json"), err)
	}
	entries := make([]entry, len(index.Manifests))
	for i, d := range index.Manifests {
		entries[i] = entry{
			name:     d.Annotations[nameAnnotation],
			manifest: d.Digest,
			size:     d.Size,
			media:    d.MediaType,
			pinned:   d.Annotations[pinnedAnnotation] != "",
		}
	}
	return entries, nil
}

func (s *Store) writeIndex(entries []entry) error {
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}
	for _, e := range entries {
		d := v1.Descriptor{MediaType: e.media, Digest: e.manifest, Size: e.size, Annotations: map[string]string{}}
		if e.name != "" {
			d.Annotations[nameAnnotation] = e.name
		}
		if e.pinned {
			d.Annotations[pinnedAnnotation] = "pinned"
		}
		index.Manifests = append(index.Manifests, d)
	}
	raw, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return err
	}
	return s.writeFile("index.json", raw)
}

// updateIndex replaces the entries with what change makes of them, as one step.
func (s *Store) updateIndex(ctx context.Context, change func([]entry) []entry) error {
	unlock, err := s.lock(ctx, indexLock, exclusive)
	if err != nil {
		return err
	}
	defer unlock()
	entries, err := s.readIndex()
	if err != nil {
		return err
	}
	return s.writeIndex(change(entries))
}

// withNames gives names to the manifest in e and takes them from whatever had
// them. An image whose last name was taken stays, without a name.
func withNames(entries []entry, e entry, names []string) []entry {
	var out []entry
	lost := map[v1.Hash]entry{}
	kept := map[v1.Hash]bool{}
	for _, old := range entries {
		switch {
		case old.name != "" && slices.Contains(names, old.name):
			e.pinned = e.pinned || old.pinned && old.manifest == e.manifest
			lost[old.manifest] = old
			continue
		case old.name == "" && old.manifest == e.manifest && len(names) > 0:
			continue
		}
		kept[old.manifest] = true
		out = append(out, old)
	}
	for hash, old := range lost {
		if hash != e.manifest && !kept[hash] {
			old.name = ""
			out = append(out, old)
		}
	}
	if len(names) == 0 && !kept[e.manifest] {
		names = []string{""}
	}
	for _, name := range names {
		e.name = name
		out = append(out, e)
	}
	return out
}

// writeFile replaces a file of the store: readers see the old or the new one,
// and after a power cut it is one of the two.
func (s *Store) writeFile(name string, data []byte) error {
	f, err := os.CreateTemp(s.path("tmp"), "file-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), s.path(name)); err != nil {
		return err
	}
	return syncDir(filepath.Dir(s.path(name)))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
