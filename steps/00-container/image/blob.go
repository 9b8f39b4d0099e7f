package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Manifests and configs are read into memory: 4 MiB is what registries allow.
const maxDocument = 4 << 20

// content is what the manifest and the config of one image say.
type content struct {
	id       v1.Hash
	size     int64
	manifest v1.Manifest
	config   v1.ConfigFile
}

func (s *Store) content(manifest v1.Hash) (content, error) {
	if c, ok := s.parsed.Load(manifest); ok {
		return c.(content), nil
	}
	var c content
	size, err := s.readDocument(manifest, &c.manifest)
	if err != nil {
		return content{}, fmt.Errorf("manifest: %w", err)
	}
	if _, err := s.readDocument(c.manifest.Config.Digest, &c.config); err != nil {
		return content{}, fmt.Errorf("config: %w", err)
	}
	if layers, ids := len(c.manifest.Layers), len(c.config.RootFS.DiffIDs); layers != ids {
		return content{}, fmt.Errorf("manifest lists %d layers, config lists %d", layers, ids)
	}
	c.id = c.manifest.Config.Digest
	c.size = size + c.manifest.Config.Size
	for _, l := range c.manifest.Layers {
		c.size += l.Size
	}
	s.parsed.Store(manifest, c)
	return c, nil
}

func (s *Store) readDocument(hash v1.Hash, into any) (int64, error) {
	f, err := os.Open(s.blobPath(hash))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err != nil {
		return 0, err
	}
	if len(raw) > maxDocument {
		return 0, fmt.Errorf("blob %s is longer than %d bytes", hash, maxDocument)
	}
	return int64(len(raw)), json.Unmarshal(raw, into)
}

func (s *Store) blobPath(hash v1.Hash) string { return s.path("blobs", hash.Algorithm, hash.Hex) }

func (s *Store) hasBlob(hash v1.Hash, size int64) bool {
	info, err := os.Stat(s.blobPath(hash))
	return err == nil && info.Size() == size
}

func (s *Store) writeDocument(ctx context.Context, hash v1.Hash, raw []byte) error {
	if len(raw) > maxDocument {
		return fmt.Errorf("blob %s has %d bytes; at most %d are allowed", hash, len(raw), maxDocument)
	}
	return s.writeBlob(ctx, hash, int64(len(raw)), bytes.NewReader(raw))
}

// writeBlob stores what r yields if it has the size and the digest that were
// promised. Readers never see a part of a blob.
func (s *Store) writeBlob(ctx context.Context, hash v1.Hash, size int64, r io.Reader) error {
	if hash.Algorithm != "sha256" {
		return fmt.Errorf("blob %s: only sha256 digests are supported", hash)
	}
	if s.hasBlob(hash, size) {
		return nil
	}
	f, err := os.CreateTemp(s.path("tmp"), "blob-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, sum), io.LimitReader(&contextReader{ctx, r}, size+1))
	if err != nil {
		return fmt.Errorf("blob %s: %w", hash, err)
	}
	if n != size {
		return fmt.Errorf("blob %s: got %d bytes or more, want %d", hash, n, size)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != hash.Hex {
		return fmt.Errorf("blob %s is corrupt: its digest is sha256:%s", hash, got)
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(f.Name(), s.blobPath(hash))
}

// contextReader ends with ctx, for sources that know no context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
