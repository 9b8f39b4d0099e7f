// Package nodetest is for tests that run a kubelet as a process, with the runtime of
// step 00, on this machine's kernel.
//
// Such tests start containers and make mounts, interfaces and cgroups. [Main] runs
// them in mount and network namespaces of their own, so that the machine's are as
// they were; and it builds the programs that they need: the shim, and an image whose
// program (package prog) does what its arguments say.
package nodetest

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/sys/unix"
)

const (
	// AsKubelet is the variable that makes the test binary the kubelet.
	AsKubelet = "GROUNDUP_TEST_KUBELET"

	// Image is the name to give the image.
	Image = "test.local/prog:v1"

	inNamespace = "GROUNDUP_TEST_NAMESPACE" // this binary is in namespaces of its own
	module      = "github.com/k8s-groundup/groundup/steps/"
)

// Built is what was built for the tests, once for all of them.
type Built struct {
	Dir   string // to be used for more; it is removed at the end
	Shim  string // the program
	Image string // an OCI layout
}

// Main is what a TestMain calls: it ends the process. Kubelet is the main function
// of the kubelet, and more is built after the rest, if anything.
func Main(m *testing.M, kubelet func(), built *Built, more ...func(dir string) error) {
	if os.Getenv(AsKubelet) != "" {
		kubelet()
		os.Exit(0)
	}
	if os.Getuid() != 0 {
		os.Exit(m.Run()) // everything is skipped
	}
	if os.Getenv(inNamespace) == "" {
		os.Exit(enterNamespaces())
	}
	dir, err := os.MkdirTemp("", "groundup-kubelet-")
	if err == nil {
		err = errors.Join(loopbackUp(), unix.Mount("tmpfs", "/var/log", "tmpfs", 0, ""), built.build(dir))
	}
	for _, build := range more {
		err = errors.Join(err, build(dir))
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// NeedsRoot skips a test that starts containers.
func NeedsRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("starts containers: run as root")
	}
}

func enterNamespaces() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	runtime.LockOSThread() // Pdeathsig is about this thread
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
}

func (b *Built) build(dir string) error {
	b.Dir, b.Shim, b.Image = dir, filepath.Join(dir, "runtime-shim"), filepath.Join(dir, "image")
	prog := filepath.Join(dir, "prog")
	// Each in its own module: what the shim links, another one does not require.
	err := errors.Join(
		Build(b.Shim, "00-container", "./cmd/runtime-shim", "1"),
		Build(prog, "01-kubelet", "./nodetest/prog", "0"))
	if err != nil {
		return err
	}
	return buildImage(prog, b.Image)
}

// Build builds a program of a step, with or without cgo ("1", "0"), and with
// libseccomp where that is installed, as "lab build" does.
func Build(out, step, pkg, cgo string) error {
	where, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module+step).Output()
	if err != nil {
		return fmt.Errorf("find the module of %s: %w", step, err)
	}
	cmd := exec.Command("go", "build", "-o", out, pkg)
	if cgo == "1" && exec.Command("pkg-config", "--exists", "libseccomp").Run() == nil {
		cmd = exec.Command("go", "build", "-tags=seccomp", "-o", out, pkg)
	}
	cmd.Dir = strings.TrimSpace(string(where))
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, text)
	}
	return nil
}

func buildImage(prog, dir string) error {
	data, err := os.ReadFile(prog)
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := w.WriteHeader(&tar.Header{Name: "prog", Mode: 0o755, Size: int64(len(data))}); err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
	if err != nil {
		return err
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return err
	}
	conf, err := img.ConfigFile()
	if err != nil {
		return err
	}
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{OS: "linux", Architecture: runtime.GOARCH,
		Config: v1.Config{Entrypoint: []string{"/prog"}}, RootFS: v1.RootFS{Type: "layers", DiffIDs: conf.RootFS.DiffIDs}})
	if err != nil {
		return err
	}
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	return path.AppendImage(img)
}
