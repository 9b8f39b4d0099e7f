package build

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// Names of an image in index.json: the specification's annotation, and the one
// that containerd and Docker read.
const (
	NameAnnotation           = "org.opencontainers.image.ref.name"
	containerdNameAnnotation = "io.containerd.image.name"
)

// Write builds a recipe into Out/NAME.tar, an OCI layout in a tar, unless the
// archive that is there is the same image already.
func (b *Builder) Write(ctx context.Context, r Recipe) (file string, written bool, err error) {
	img, err := b.Image(ctx, r)
	if err != nil {
		return "", false, err
	}
	index, err := named(img, r.Tags)
	if err != nil {
		return "", false, err
	}
	file = filepath.Join(b.Out, r.Name+".tar")
	if upToDate(file, index) {
		return file, false, nil
	}
	if err := writeArchive(file, index); err != nil {
		return "", false, fmt.Errorf("write %s: %w", file, err)
	}
	return file, true, nil
}

// named is an index with one entry for each name of the image.
func named(img v1.Image, tags []string) (v1.ImageIndex, error) {
	var index v1.ImageIndex = empty.Index
	for _, tag := range tags {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{
			Annotations: map[string]string{NameAnnotation: tag, containerdNameAnnotation: tag},
		}})
	}
	return index, nil
}

// upToDate compares the index, which has the digest of everything below it.
func upToDate(file string, index v1.ImageIndex) bool {
	want, err := index.IndexManifest()
	if err != nil {
		return false
	}
	var have v1.IndexManifest
	if err := readIndex(file, &have); err != nil || len(have.Manifests) != len(want.Manifests) {
		return false
	}
	for i := range want.Manifests {
		w, h := want.Manifests[i], have.Manifests[i]
		if w.Digest != h.Digest || w.Annotations[NameAnnotation] != h.Annotations[NameAnnotation] {
			return false
		}
	}
	return true
}

func readIndex(file string, into *v1.IndexManifest) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err != nil {
			return err
		}
		if h.Name == "index.json" {
			return json.NewDecoder(r).Decode(into)
		}
	}
}

// writeArchive replaces the file by rename, so that nobody reads half of it.
func writeArchive(file string, index v1.ImageIndex) error {
	work, err := os.MkdirTemp(filepath.Dir(file), ".layout-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if _, err := layout.Write(filepath.Join(work, "layout"), index); err != nil {
		return err
	}
	part := filepath.Join(work, "tar")
	f, err := os.Create(part)
	if err != nil {
		return err
	}
	err = errors.Join(packLayout(f, filepath.Join(work, "layout")), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(part, file)
}

// packLayout writes the small files first: a reader finds out early what it has.
func packLayout(w io.Writer, dir string) error {
	t := tar.NewWriter(w)
	for _, name := range []string{"oci-layout", "index.json"} {
		if err := pack(t, dir, name); err != nil {
			return err
		}
	}
	err := filepath.WalkDir(filepath.Join(dir, "blobs"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		return pack(t, dir, name)
	})
	return errors.Join(err, t.Close())
}

func pack(t *tar.Writer, dir, name string) error {
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{Name: filepath.ToSlash(name), Mode: 0o644, Size: int64(len(content)), ModTime: epoch}); err != nil {
		return err
	}
	_, err = t.Write(content)
	return err
}

// unpack is the reverse of packLayout, for archives that this package wrote.
func unpack(file, dir string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll("blobs/sha256", 0o755); err != nil {
		return err
	}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if err := root.WriteFile(h.Name, content, 0o644); err != nil {
			return err
		}
	}
}
