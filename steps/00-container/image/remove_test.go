package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDoomedNames(t *testing.T) {
	img := Image{
		ID:      "sha256:" + fmt.Sprintf("%064d", 7),
		Tags:    []string{"docker.io/library/a:1", "docker.io/library/a:2", "docker.io/library/b:1"},
		Digests: []string{"docker.io/library/a@" + digestOf('a'), "docker.io/library/b@" + digestOf('b')},
	}
	all := slices.Concat(img.Tags, img.Digests)
	for _, c := range []struct {
		name, ref string
		want      []string
	}{
		{"one tag of two", "a:1", []string{"docker.io/library/a:1"}},
		{"last tag of its repository", "b:1", []string{"docker.io/library/b:1", "docker.io/library/b@" + digestOf('b')}},
		{"digest", "a@" + digestOf('a'), []string{"docker.io/library/a:1", "docker.io/library/a:2", "docker.io/library/a@" + digestOf('a')}},
		{"id", img.ID, all},
		{"id prefix", "0000000", all},
	} {
		if diff := cmp.Diff(c.want, doomed(img, c.ref)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.name, diff)
		}
	}
}

func digestOf(c byte) string { return "sha256:" + string(bytes.Repeat([]byte{c}, 64)) }

func TestRemoveKeepsWhatOthersNeed(t *testing.T) {
	s := open(t)
	base := map[string]string{"base": "b"}
	one := mustImport(t, s, build(t, base, map[string]string{"one": "1"}), "one")
	two := mustImport(t, s, build(t, base, map[string]string{"two": "2"}), "two")
	dirs, err := s.Layers(t.Context(), two)
	if err != nil {
		t.Fatal(err)
	}
	if gone, err := s.Remove(t.Context(), one.ID); err != nil || !slices.Equal(gone, one.Tags) {
		t.Fatalf("got %v, %v; want %v", gone, err, one.Tags)
	}
	for _, d := range dirs {
		if _, err := os.Stat(d); err != nil {
			t.Errorf("a layer of the other image is gone: %v", err)
		}
	}
	if layers, _ := os.ReadDir(s.path("layers")); len(layers) != 2 {
		t.Errorf("got %d layers left; want the other image's 2", len(layers))
	}
	if _, err := s.Remove(t.Context(), one.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("second removal: got %v; want ErrNotFound", err)
	}
}

func TestHeldImageOutlivesItsNames(t *testing.T) {
	s := open(t)
	img := mustImport(t, s, build(t, map[string]string{"a": "1"}), "web")
	if err := s.Hold(t.Context(), "container-1", img); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Remove(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	dirs, err := s.Layers(t.Context(), img)
	if err != nil {
		t.Fatalf("the container lost its layers: %v", err)
	}
	if err := s.Release("container-1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Release("container-1"); err != nil {
		t.Errorf("second release: %v", err)
	}
	freed, err := s.GC(t.Context())
	if err != nil || freed.Layers != 1 || freed.Blobs != 3 {
		t.Errorf("got %+v, %v; want 1 layer and 3 blobs freed", freed, err)
	}
	if _, err := os.Stat(dirs[0]); err == nil {
		t.Error("the layer is still there after its last holder went")
	}
	if _, err := s.Layers(t.Context(), img); !errors.Is(err, ErrNotFound) {
		t.Errorf("layers of a removed image: got %v; want ErrNotFound", err)
	}
}

// A power cut may leave a hold without its content.
func TestEmptyHoldHoldsNothing(t *testing.T) {
	s := open(t)
	img := mustImport(t, s, build(t, map[string]string{"a": "1"}), "web")
	if err := os.WriteFile(s.path("holds", "container-1"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if holders, err := s.Holders(img); err != nil || len(holders) != 0 {
		t.Errorf("got holders %v, %v; want none", holders, err)
	}
	if freed, err := s.GC(t.Context()); err != nil || freed.Layers != 0 {
		t.Errorf("got %+v, %v; want nothing freed of an image that has a name", freed, err)
	}
}

func TestOpenRemovesLeftovers(t *testing.T) {
	s := open(t)
	img := mustImport(t, s, build(t, map[string]string{"a": "1"}), "web")
	leftover := s.path("tmp", "unpack-1", "fs")
	if err := os.MkdirAll(leftover, 0o755); err != nil {
		t.Fatal(err)
	}
	again, err := Open(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(leftover); err == nil {
		t.Error("what a crash left is still there")
	}
	if _, err := again.Layers(t.Context(), img); err != nil {
		t.Error(err)
	}
}

func TestExportComesBack(t *testing.T) {
	for _, format := range []Format{OCIArchive, DockerArchive} {
		from, to := open(t), open(t)
		img := mustImport(t, from, build(t, map[string]string{"a": "1"}, map[string]string{"b": "2"}), "web:1")
		if _, err := from.Tag(t.Context(), "web:1", "other.example/web:2"); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "out.tar")
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := from.Export(t.Context(), f, format, img.ID); err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		f.Close()
		got, err := to.Import(t.Context(), file)
		if err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		want := []string{"docker.io/library/web:1", "other.example/web:2"}
		if len(got) != 1 || got[0].ID != img.ID || !slices.Equal(got[0].Tags, want) {
			t.Errorf("%s: got %+v; want id %s with tags %v", format, got, img.ID, want)
		}
	}
}

// Several processes are several stores on one directory.
func TestConcurrentStores(t *testing.T) {
	first := open(t)
	var files []string
	base := map[string]string{"base": "b"}
	for i := range 6 {
		files = append(files, dockerArchive(t, fmt.Sprintf("web:%d", i), build(t, base, map[string]string{"n": fmt.Sprint(i)})))
	}
	var wg sync.WaitGroup
	for _, file := range files {
		wg.Go(func() {
			s, err := Open(first.dir)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := s.Import(context.Background(), file); err != nil {
				t.Error(err)
			}
			if _, err := s.GC(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	images, err := first.List()
	if err != nil || len(images) != len(files) {
		t.Errorf("got %d images, %v; want %d", len(images), err, len(files))
	}
	if layers, _ := os.ReadDir(first.path("layers")); len(layers) != 7 {
		t.Errorf("got %d layers; want one base and 6 others", len(layers))
	}
}
