// Package runtimetest has what tests of the runtime stand on: the binaries, an
// image, a runtime in temporary directories, and a check that nothing is left.
package runtimetest

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/k8s-groundup/groundup/steps/00-container/cri"
	"github.com/k8s-groundup/groundup/steps/00-container/image"
)

// Image is the name of the test image. Its program is internal/guest.
const Image = "groundup.test/guest:v1"

// NeedRoot skips a test that touches the kernel as only root can.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes namespaces, mounts and cgroups")
	}
}

// Main runs tests and removes the binaries that they have built. Call it from
// TestMain.
func Main(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

var built struct {
	once sync.Once
	dir  string
	err  error
}

// Binaries builds runtime-shim, runtime and guest once, and returns where they are.
func Binaries(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "groundup-bin-"); built.err != nil {
			return
		}
		const module = "github.com/k8s-groundup/groundup/steps/00-container/"
		built.err = build(filepath.Join(built.dir, "runtime-shim"), module+"cmd/runtime-shim", "CGO_ENABLED=1",
			"-tags="+tags(), "-ldflags=-s -w -extldflags=-static")
		if built.err == nil {
			built.err = build(filepath.Join(built.dir, "guest"), module+"internal/guest", "CGO_ENABLED=0", "-ldflags=-s -w")
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.dir
}

// tags are those that "lab build" gives the shim.
func tags() string {
	if HasSeccomp() {
		return "netgo,osusergo,seccomp"
	}
	return "netgo,osusergo"
}

// HasSeccomp reports whether the shim is built with libseccomp: where it is installed.
func HasSeccomp() bool { return exec.Command("pkg-config", "--exists", "libseccomp").Run() == nil }

func build(to, pkg, env string, flags ...string) error {
	cmd := exec.Command("go", append(append([]string{"build", "-o", to}, flags...), pkg)...)
	cmd.Env = append(os.Environ(), env)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}

// WriteImage writes an archive of the test image: the guest program, two
// users, and a group.
func WriteImage(t testing.TB, path string) {
	t.Helper()
	guest, err := os.ReadFile(filepath.Join(Binaries(t), "guest"))
	if err != nil {
		t.Fatal(err)
	}
	base, err := newLayer(map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000::/home/web:/bin/sh\n",
		"etc/group":  "root:x:0:\nweb:x:1000:\nteam:x:2000:web\n",
	}, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	program, err := newLayer(map[string]string{"bin/guest": string(guest)}, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, base, program)
	if err == nil {
		img, err = mutate.Config(img, v1.Config{Entrypoint: []string{"/bin/guest"}, Cmd: []string{"pause"}, Env: []string{"FROM=image"}})
	}
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(Image)
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(path, tag, img); err != nil {
		t.Fatal(err)
	}
}

func newLayer(files map[string]string, mode int64) (v1.Layer, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, dir := range []string{"bin/", "etc/", "tmp/", "proc/", "sys/", "dev/"} {
		if err := w.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
			return nil, err
		}
	}
	for path, content := range files {
		if err := w.WriteHeader(&tar.Header{Name: path, Mode: mode, Size: int64(len(content))}); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
}

// Config is the configuration of a runtime of the test's own, with the test
// image in it. The end of the test checks that nothing of it is left.
func Config(t testing.TB) cri.Config {
	t.Helper()
	NeedRoot(t)
	bin := Binaries(t)
	root := t.TempDir()
	for _, dir := range []string{root, filepath.Dir(root)} { // for users of a user namespace
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	conf := cri.Config{
		Root:         filepath.Join(root, "root"),
		State:        filepath.Join(root, "state"),
		ShimPath:     filepath.Join(bin, "runtime-shim"),
		CgroupParent: fmt.Sprintf("/groundup-test-%d-%s", os.Getpid(), filepath.Base(filepath.Dir(root))),
		Log:          slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	watchLeaks(t, conf)
	images, err := image.Open(filepath.Join(conf.Root, "images"))
	if err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(root, "guest.tar")
	WriteImage(t, archive)
	if _, err := images.Import(context.Background(), archive); err != nil {
		t.Fatal(err)
	}
	conf.Images = images
	return conf
}

// Open opens a runtime. Its pods are removed at the end of the test.
func Open(t testing.TB, conf cri.Config) *cri.Service {
	t.Helper()
	s, err := cri.Open(conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		RemoveAll(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
