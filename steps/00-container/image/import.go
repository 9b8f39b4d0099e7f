package image

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/klauspost/compress/gzip"
)

const containerdNameAnnotation = "io.containerd.image.name"

// A candidate is an image in an archive, and the names that it has there.
type candidate struct {
	image v1.Image
	names []string
}

// Import adds the images of an archive: a directory with an OCI layout, an OCI
// layout as a tar, or what `docker save` writes; a tar may be gzipped. The tags
// replace the archive's own names and need an archive of one image. An image
// without any name is kept under its id.
func (s *Store) Import(ctx context.Context, path string, tags ...string) ([]Image, error) {
	images, err := s.importArchive(ctx, path, tags)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", path, err)
	}
	return images, nil
}

func (s *Store) importArchive(ctx context.Context, path string, tags []string) ([]Image, error) {
	unlock, err := s.lock(ctx, contentLock, shared)
	if err != nil {
		return nil, err
	}
	defer unlock()
	work, err := os.MkdirTemp(s.path("tmp"), "import-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	found, err := readArchive(ctx, path, work)
	if err != nil {
		return nil, err
	}
	if len(tags) > 0 {
		if len(found) != 1 {
			return nil, fmt.Errorf("it holds %d images: a tag can only name one", len(found))
		}
		found[0].names = tags
	}
	var images []Image
	for _, f := range found {
		names, err := normalizeAll(f.names)
		if err != nil {
			return nil, err
		}
		img, err := s.add(ctx, f.image, names, unwatched)
		if err != nil {
			return nil, err
		}
		images = append(images, img)
	}
	return images, nil
}

func normalizeAll(names []string) ([]string, error) {
	var out []string
	for _, n := range names {
		qualified, err := Normalize(n)
		if err != nil {
			return nil, err
		}
		if isDigest(qualified) {
			return nil, fmt.Errorf("%s: a digest can't be given as a name", n)
		}
		out = append(out, qualified)
	}
	return out, nil
}

// readArchive recognises the format. An archive that is both, as `docker save`
// has written since version 25, is read as an OCI layout.
func readArchive(ctx context.Context, path, work string) ([]candidate, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if info.IsDir() {
		return readLayout(path)
	}
	if err := extract(ctx, path, work); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(work, "oci-layout")); err == nil {
		return readLayout(work)
	}
	if _, err := os.Stat(filepath.Join(work, "manifest.json")); err != nil {
		return nil, errors.New("it is no image archive: neither oci-layout nor manifest.json is in it")
	}
	return readDockerArchive(path)
}

func readLayout(dir string) ([]candidate, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var found []candidate
	for _, d := range manifest.Manifests {
		img, err := imageOf(index, d)
		if err != nil {
			return nil, err
		}
		found = appendCandidate(found, img, layoutName(d.Annotations))
	}
	if len(found) == 0 {
		return nil, errors.New("its index.json lists no image")
	}
	return found, nil
}

func imageOf(index v1.ImageIndex, d v1.Descriptor) (v1.Image, error) {
	if d.MediaType.IsIndex() {
		nested, err := index.ImageIndex(d.Digest)
		if err != nil {
			return nil, err
		}
		return choose(nested, thisPlatform())
	}
	return index.Image(d.Digest)
}

// layoutName finds the full name. Many tools put only the tag into the
// annotation that the specification has for it.
func layoutName(annotations map[string]string) string {
	if n := annotations[containerdNameAnnotation]; n != "" {
		return n
	}
	n := annotations[nameAnnotation]
	if _, err := name.NewTag(n, name.StrictValidation); err != nil || isDigest(n) {
		return ""
	}
	return n
}

// appendCandidate joins the names of entries that are the same image.
func appendCandidate(found []candidate, img v1.Image, n string) []candidate {
	var names []string
	if n != "" {
		names = []string{n}
	}
	digest, err := img.Digest()
	for i := range found {
		if other, otherErr := found[i].image.Digest(); err == nil && otherErr == nil && other == digest {
			found[i].names = append(found[i].names, names...)
			return found
		}
	}
	return append(found, candidate{img, names})
}

func readDockerArchive(path string) ([]candidate, error) {
	open := func() (io.ReadCloser, error) { return openArchive(path) }
	manifest, err := tarball.LoadManifest(open)
	if err != nil {
		return nil, err
	}
	var found []candidate
	for i, d := range manifest {
		img, err := dockerImage(open, d, i)
		if err != nil {
			return nil, err
		}
		found = append(found, candidate{img, d.RepoTags})
	}
	return found, nil
}

// dockerImage finds an image by its first tag. The format can only say
// "the one image" of an image without tags.
func dockerImage(open tarball.Opener, d tarball.Descriptor, i int) (v1.Image, error) {
	if len(d.RepoTags) == 0 {
		img, err := tarball.Image(open, nil)
		if err != nil {
			return nil, fmt.Errorf("image %d: %w", i, err)
		}
		return img, nil
	}
	tag, err := name.NewTag(d.RepoTags[0])
	if err != nil {
		return nil, err
	}
	return tarball.Image(open, &tag)
}

// extract takes the files of an OCI layout out of an archive, and the
// manifest.json that tells a Docker archive. Their paths are few and fixed, so
// everything else is left where it is.
func extract(ctx context.Context, archive, dir string) error {
	r, err := openArchive(archive)
	if err != nil {
		return err
	}
	defer r.Close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll("blobs/sha256", 0o755); err != nil {
		return err
	}
	for t := tar.NewReader(&contextReader{ctx, r}); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read archive: %w", err)
		}
		file := path.Clean(h.Name)
		if h.Typeflag != tar.TypeReg || !isLayoutFile(file) {
			continue
		}
		if err := writeTo(root, file, t); err != nil {
			return err
		}
	}
}

func isLayoutFile(file string) bool {
	switch file {
	case "oci-layout", "index.json", "manifest.json":
		return true
	}
	return path.Dir(file) == "blobs/sha256"
}

func writeTo(root *os.Root, file string, r io.Reader) error {
	f, err := root.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(f, r)
	return err
}

// An archiveReader reads an archive that may be gzipped.
type archiveReader struct {
	io.Reader
	io.Closer
}

func openArchive(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(f, 64<<10)
	if magic, _ := r.Peek(2); string(magic) != "\x1f\x8b" {
		return archiveReader{r, f}, nil
	}
	z, err := gzip.NewReader(r)
	if err != nil {
		f.Close()
		return nil, err
	}
	return archiveReader{z, f}, nil
}
