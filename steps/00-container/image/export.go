package image

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A Format is a kind of image archive.
type Format string

// The formats that Export writes and Import reads.
const (
	OCIArchive    Format = "oci"    // an OCI layout as a tar
	DockerArchive Format = "docker" // as `docker save` writes it
)

// Export writes images to one archive. An image that is asked for by name gets
// that name in the archive; one that is asked for by id gets all its tags.
func (s *Store) Export(ctx context.Context, w io.Writer, format Format, refs ...string) error {
	unlock, err := s.lock(ctx, contentLock, shared)
	if err != nil {
		return err
	}
	defer unlock()
	var images []exported
	for _, ref := range refs {
		img, err := s.Resolve(ref)
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
		images = append(images, exported{img, exportNames(img, ref)})
	}
	switch format {
	case OCIArchive:
		err = s.writeOCI(ctx, w, images)
	case DockerArchive:
		err = s.writeDocker(w, images)
	default:
		err = fmt.Errorf("unknown format %q: want %q or %q", format, OCIArchive, DockerArchive)
	}
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

type exported struct {
	Image
	names []string
}

func exportNames(img Image, ref string) []string {
	if qualified, err := Normalize(ref); err == nil && img.answersTo(qualified) && !isDigest(qualified) {
		return []string{qualified}
	}
	return img.Tags
}

func (s *Store) writeDocker(w io.Writer, images []exported) error {
	refs := map[name.Reference]v1.Image{}
	for _, e := range images {
		img, err := s.layout.Image(e.manifest)
		if err != nil {
			return err
		}
		if len(e.names) == 0 {
			return fmt.Errorf("%s has no tag, and a Docker archive needs one: tag it first", e.ID)
		}
		for _, n := range e.names {
			ref, err := parse(n)
			if err != nil {
				return err
			}
			refs[ref] = img
		}
	}
	return tarball.MultiRefWrite(refs, w)
}

func (s *Store) writeOCI(ctx context.Context, w io.Writer, images []exported) error {
	index, blobs, err := s.plan(images)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(index)
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	layout := []byte(`{"imageLayoutVersion":"1.0.0"}`)
	if err := writeEntry(t, "oci-layout", int64(len(layout)), bytes.NewReader(layout)); err != nil {
		return err
	}
	if err := writeEntry(t, "index.json", int64(len(raw)), bytes.NewReader(raw)); err != nil {
		return err
	}
	for _, b := range blobs {
		if err := s.writeBlobEntry(ctx, t, b); err != nil {
			return err
		}
	}
	return t.Close()
}

// plan lists what goes into an OCI archive, each blob once.
func (s *Store) plan(images []exported) (v1.IndexManifest, []v1.Descriptor, error) {
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	var blobs []v1.Descriptor
	seen := map[v1.Hash]bool{}
	for _, e := range images {
		c, err := s.content(e.manifest)
		if err != nil {
			return index, nil, err
		}
		info, err := os.Stat(s.blobPath(e.manifest))
		if err != nil {
			return index, nil, err
		}
		d := v1.Descriptor{MediaType: c.manifest.MediaType, Digest: e.manifest, Size: info.Size()}
		index.Manifests = append(index.Manifests, named(d, e.names)...)
		for _, b := range append([]v1.Descriptor{d, c.manifest.Config}, c.manifest.Layers...) {
			if !seen[b.Digest] {
				seen[b.Digest] = true
				blobs = append(blobs, b)
			}
		}
	}
	return index, blobs, nil
}

func named(d v1.Descriptor, names []string) []v1.Descriptor {
	if len(names) == 0 {
		return []v1.Descriptor{d}
	}
	var out []v1.Descriptor
	for _, n := range names {
		d.Annotations = map[string]string{nameAnnotation: n, containerdNameAnnotation: n}
		out = append(out, d)
	}
	return out
}

func (s *Store) writeBlobEntry(ctx context.Context, t *tar.Writer, d v1.Descriptor) error {
	f, err := os.Open(s.blobPath(d.Digest))
	if err != nil {
		return err
	}
	defer f.Close()
	return writeEntry(t, "blobs/"+d.Digest.Algorithm+"/"+d.Digest.Hex, d.Size, &contextReader{ctx, f})
}

func writeEntry(t *tar.Writer, file string, size int64, r io.Reader) error {
	if err := t.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: size}); err != nil {
		return err
	}
	_, err := io.Copy(t, r)
	return err
}
