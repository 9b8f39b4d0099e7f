package build

import (
	"archive/tar"
	"bytes"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// small is an image without a program, so that nothing is compiled.
func small() Recipe {
	return Recipe{
		Name: "small", Tags: []string{"registry.example/team/small:v1", "registry.example/team/small:v2"},
		Files:  base(),
		Extra:  []File{{Path: "/opt/a", Mode: 0o600, UID: 1, GID: 2, Content: []byte("a")}, {Path: "/opt/b", Link: "a"}},
		Config: v1.Config{User: "1000"},
	}
}

func TestSameInputsSameArchive(t *testing.T) {
	var archives [2][]byte
	for i := range archives {
		b := &Builder{Out: t.TempDir(), Cache: t.TempDir()}
		file, written, err := b.Write(t.Context(), small())
		if err != nil || !written {
			t.Fatalf("got written %v, %v", written, err)
		}
		if archives[i], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two builds of the same inputs differ; digests would change with every build")
	}
}

func TestWriteSkipsWhatIsUpToDate(t *testing.T) {
	b := &Builder{Out: t.TempDir(), Cache: t.TempDir()}
	for i, want := range []bool{true, false} {
		if _, written, err := b.Write(t.Context(), small()); err != nil || written != want {
			t.Errorf("build %d: got written %v, %v; want %v", i, written, err, want)
		}
	}
	changed := small()
	changed.Config.User = "0"
	if _, written, err := b.Write(t.Context(), changed); err != nil || !written {
		t.Errorf("after a change: got written %v, %v", written, err)
	}
	if left, err := filepath.Glob(filepath.Join(b.Out, ".layout-*")); err != nil || len(left) != 0 {
		t.Errorf("got leftovers %v, %v", left, err)
	}
}

func TestLayerListsEveryDirectory(t *testing.T) {
	raw, err := archive([]File{
		{Path: "/a/a", Mode: 0o644, SameAs: "/a/b/c"}, // after what it is the same as
		{Path: "/a/b/c", Mode: 0o644, Content: []byte("x")}, {Path: "/a/", Mode: 0o700},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for r := tar.NewReader(bytes.NewReader(raw)); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, h.FileInfo().Mode().String()+" "+h.Name)
	}
	if want := "drwx------ a/\ndrwxr-xr-x a/b/\n-rw-r--r-- a/b/c\n-rw-r--r-- a/a"; strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

func TestRegistryServesTheArchives(t *testing.T) {
	b := &Builder{Out: t.TempDir(), Cache: t.TempDir()}
	if _, _, err := b.Write(t.Context(), small()); err != nil {
		t.Fatal(err)
	}
	handler, err := NewRegistry(t.Context(), b.Out)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	defer server.Close()
	for _, tag := range []string{"v1", "v2"} {
		ref, err := name.NewTag(strings.TrimPrefix(server.URL, "http://") + "/team/small:" + tag)
		if err != nil {
			t.Fatal(err)
		}
		img, err := remote.Image(ref)
		if err != nil {
			t.Fatal(err)
		}
		layers, err := img.Layers()
		if err != nil || len(layers) != 2 {
			t.Errorf("%s: got %d layers, %v; want 2", tag, len(layers), err)
		}
	}
}

func TestRecipeNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range append(Labs(), Critest()...) {
		if seen[r.Name] {
			t.Errorf("two recipes are called %s; one archive would overwrite the other", r.Name)
		}
		seen[r.Name] = true
		for _, tag := range r.Tags {
			if _, err := name.NewTag(tag, name.StrictValidation); err != nil {
				t.Errorf("%s: %v", r.Name, err)
			}
		}
	}
}
