package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("unpacking layers needs root: it sets owners and makes whiteouts")
	}
}

func open(t *testing.T) *Store {
	t.Helper()
	needRoot(t)
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// archive is an uncompressed tar of regular files.
func archive(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	names := make([]string, 0, len(files))
	for n := range files {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		h := &tar.Header{Name: n, Mode: 0o644, Size: int64(len(files[n]))}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[n])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// build makes an image with one layer for each set of files.
func build(t *testing.T, layers ...map[string]string) v1.Image {
	t.Helper()
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	for _, files := range layers {
		var err error
		img, err = mutate.AppendLayers(img, static.NewLayer(archive(t, files), types.OCIUncompressedLayer))
		if err != nil {
			t.Fatal(err)
		}
	}
	img, err := mutate.ConfigFile(img, withCommand(t, img, "/bin/"+t.Name()))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func withCommand(t *testing.T, img v1.Image, command string) *v1.ConfigFile {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", thisPlatform().Architecture
	config.Config.Cmd = []string{command}
	return config
}

func dockerArchive(t *testing.T, tag string, img v1.Image) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "image.tar")
	ref, err := name.NewTag(tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(file, ref, img); err != nil {
		t.Fatal(err)
	}
	return file
}

func mustImport(t *testing.T, s *Store, img v1.Image, tag string) Image {
	t.Helper()
	images, err := s.Import(context.Background(), dockerArchive(t, tag, img))
	if err != nil {
		t.Fatal(err)
	}
	return images[0]
}

func TestResolveTakesEveryName(t *testing.T) {
	s := open(t)
	img := mustImport(t, s, build(t, map[string]string{"a": "1"}), "nginx:1")
	for _, ref := range []string{
		"nginx:1", "docker.io/library/nginx:1", "index.docker.io/library/nginx:1",
		img.ID, img.ID[len("sha256:"):], img.ID[len("sha256:"):][:8],
		"nginx@" + img.manifest.String(),
	} {
		got, err := s.Resolve(ref)
		if err != nil || got.ID != img.ID {
			t.Errorf("Resolve(%q): got %s, %v; want %s", ref, got.ID, err, img.ID)
		}
	}
	for _, ref := range []string{"nginx", "ffffffffffffffffffff", "sha256:0", "other/nginx:1"} {
		if _, err := s.Resolve(ref); !errors.Is(err, ErrNotFound) {
			t.Errorf("Resolve(%q): got %v; want ErrNotFound", ref, err)
		}
	}
}

func TestLayersAreSharedBaseFirst(t *testing.T) {
	s := open(t)
	base := map[string]string{"etc/base": "0123456789"}
	one := mustImport(t, s, build(t, base, map[string]string{"one": "1"}), "one")
	two := mustImport(t, s, build(t, base, map[string]string{"two": "2"}), "two")
	dirsOne, err := s.Layers(t.Context(), one)
	if err != nil {
		t.Fatal(err)
	}
	dirsTwo, err := s.Layers(t.Context(), two)
	if err != nil {
		t.Fatal(err)
	}
	if len(dirsOne) != 2 || len(dirsTwo) != 2 || dirsOne[0] != dirsTwo[0] || dirsOne[1] == dirsTwo[1] {
		t.Fatalf("got layers %v and %v; want a common base first", dirsOne, dirsTwo)
	}
	if got, _ := os.ReadFile(filepath.Join(dirsOne[0], "etc/base")); string(got) != "0123456789" {
		t.Errorf("got %q in the base layer", got)
	}
	usage, err := s.Usage()
	if err != nil {
		t.Fatal(err)
	}
	if usage.Shared != 10 || usage.Layers != 12 {
		t.Errorf("got %d bytes shared, %d in layers; want 10 and 12", usage.Shared, usage.Layers)
	}
}

func TestTagMovesToTheNewerImage(t *testing.T) {
	s := open(t)
	older := mustImport(t, s, build(t, map[string]string{"v": "1"}), "web")
	newer := mustImport(t, s, build(t, map[string]string{"v": "2"}), "web")
	images, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, img := range images {
		got[img.ID] = img.Tags
	}
	want := map[string][]string{older.ID: nil, newer.ID: {"docker.io/library/web:latest"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tags by image (-want +got):\n%s", diff)
	}
}
