package image

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/steps/00-container/image/layer"
)

// Layers returns the image's layers as directories, the base layer first, and
// unpacks those that are not there yet. The directories belong to the store
// and are shared: nobody may write to them. They stay as long as the image is
// in the store or held (see [Store.Hold]).
//
// The same layer may occur twice in an image; overlayfs refuses to stack a
// directory on itself, so only the upper one is returned.
func (s *Store) Layers(ctx context.Context, img Image) ([]string, error) {
	unlock, err := s.lock(ctx, contentLock, shared)
	if err != nil {
		return nil, err
	}
	defer unlock()
	c, err := s.contentOf(img)
	if err != nil {
		return nil, err
	}
	if err := s.unpackMissing(ctx, c); err != nil {
		return nil, fmt.Errorf("unpack %s: %w", img.Name(), err)
	}
	return s.directories(c.config.RootFS.DiffIDs), nil
}

func (s *Store) contentOf(img Image) (content, error) {
	if _, err := os.Stat(s.blobPath(img.manifest)); err != nil { // the cache outlives the blob
		return content{}, fmt.Errorf("%s: %w", img.Name(), ErrNotFound)
	}
	return s.content(img.manifest)
}

func (s *Store) directories(diffIDs []v1.Hash) []string {
	last := map[v1.Hash]int{}
	for i, id := range diffIDs {
		last[id] = i
	}
	var dirs []string
	for i, id := range diffIDs {
		if last[id] == i {
			dirs = append(dirs, filepath.Join(s.layerPath(id), "fs"))
		}
	}
	return dirs
}

func (s *Store) layerPath(diffID v1.Hash) string { return s.path("layers", diffID.Hex) }

func (s *Store) hasLayer(diffID v1.Hash) bool {
	_, err := os.Stat(s.layerPath(diffID))
	return err == nil
}

// missing maps the diff IDs that are not on disk to the blobs they come from.
func (s *Store) missing(c content) map[v1.Hash]v1.Hash {
	missing := map[v1.Hash]v1.Hash{}
	for i, id := range c.config.RootFS.DiffIDs {
		if !s.hasLayer(id) {
			missing[id] = c.manifest.Layers[i].Digest
		}
	}
	return missing
}

func (s *Store) unpackMissing(ctx context.Context, c content) error {
	if len(s.missing(c)) == 0 {
		return nil
	}
	unlock, err := s.lock(ctx, unpackLock, exclusive)
	if err != nil {
		return err
	}
	defer unlock()
	work, err := os.MkdirTemp(s.path("tmp"), "unpack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	missing := s.missing(c) // another process may have been faster
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for diffID, blob := range missing {
		group.Go(func() error { return s.unpack(ctx, layer.Digests{Blob: blob, Diff: diffID}, work) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return s.publish(work, missing)
}

// unpack makes work/HEX of one layer.
func (s *Store) unpack(ctx context.Context, want layer.Digests, work string) error {
	if want.Diff.Algorithm != "sha256" {
		return fmt.Errorf("diff id %s: only sha256 digests are supported", want.Diff)
	}
	blob, err := os.Open(s.blobPath(want.Blob))
	if err != nil {
		return err
	}
	defer blob.Close()
	dir := filepath.Join(work, want.Diff.Hex)
	root := filepath.Join(dir, "fs")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	usage, err := layer.Unpack(ctx, blob, want, root, layer.DefaultLimits)
	if err != nil {
		return fmt.Errorf("layer %s: %w", want.Blob, err)
	}
	raw, err := json.Marshal(usage)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "usage.json"), raw, 0o644)
}

// publish moves complete layers to their place. They reach the disk first: a
// directory that survives a power cut without its content would never be
// unpacked again.
func (s *Store) publish(work string, layers map[v1.Hash]v1.Hash) error {
	d, err := os.Open(work)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return fmt.Errorf("sync %s: %w", work, err)
	}
	for diffID := range layers {
		if err := os.Rename(filepath.Join(work, diffID.Hex), s.layerPath(diffID)); err != nil {
			return err
		}
	}
	return nil
}
