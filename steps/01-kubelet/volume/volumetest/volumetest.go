// Package volumetest checks that a volume plugin keeps the promises of
// [volume.Plugin]. Every plugin's tests call [Run], and its TestMain is [Main].
package volumetest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
)

const inside = "VOLUMETEST_PRIVATE_MOUNTS"

// Main runs the tests of a package in a mount namespace of their own, so that
// no mount of theirs is ever seen, or left, on the machine. Without root it
// runs them where they are, and those that call [Root] skip.
func Main(m *testing.M) {
	if os.Geteuid() != 0 || os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"=1")
	// Unshareflags, unlike Cloneflags, makes all mounts private as well.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // Pdeathsig is about the thread that started it
	err := cmd.Run()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		os.Exit(failed.ExitCode())
	}
	if err != nil {
		panic(err)
	}
	os.Exit(0)
}

// Root skips a test that mounts, unless [Main] has prepared for it.
func Root(t testing.TB) {
	t.Helper()
	if os.Getenv(inside) == "" {
		t.Skip("needs root, to mount")
	}
}

// Run checks a plugin by means of a volume that it supports. Outside says that
// the volume's content is not in the directory that the plugin was given, as
// a hostPath's: it must then survive TearDown.
func Run(t *testing.T, p volume.Plugin, v *corev1.Volume, outside bool) {
	Root(t)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", UID: "1234"}}
	pod.Spec.Volumes = []corev1.Volume{*v}
	dir := filepath.Join(t.TempDir(), "volumes", p.Name(), v.Name)
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := volume.Remove(dir); err != nil {
			t.Error(err)
		}
	})

	t.Run("name is one path element", func(t *testing.T) {
		if n := p.Name(); n == "" || strings.ContainsAny(n, "/") {
			t.Errorf("got %q; it is the name of a directory", n)
		}
	})
	t.Run("supports only its kind", func(t *testing.T) {
		if !p.Supports(v) {
			t.Error("the volume of this test is not supported")
		}
		if p.Supports(&corev1.Volume{Name: "empty"}) {
			t.Error("a volume without source is supported; the manager would not refuse it")
		}
	})
	t.Run("tears down nothing", func(t *testing.T) { tearDown(t, p, dir) })

	path := setUp(t, p, pod, v, dir)
	if outside == (path == dir) {
		t.Errorf("SetUp: got path %s for directory %s", path, dir)
	}
	t.Run("the next sync changes nothing", func(t *testing.T) {
		before := listing(t, path)
		if again := setUp(t, p, pod, v, dir); again != path {
			t.Errorf("got %s, then %s; containers would not see the same volume", path, again)
		}
		if after := listing(t, path); after != before {
			t.Errorf("got\n%s\nbefore\n%s\nwithout a reason to write", after, before)
		}
	})
	t.Run("survives what containers write", func(t *testing.T) {
		if ro, ok := p.(volume.ReadOnly); ok && ro.ReadOnly() {
			t.Skip("containers can't write")
		}
		file := filepath.Join(path, "data")
		if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		setUp(t, p, pod, v, dir)
		if _, err := os.Stat(file); err != nil {
			t.Errorf("%v; a kubelet that restarts would delete the pod's data", err)
		}
	})
	tearDown(t, p, dir)
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s after TearDown: got %v, want it gone", dir, err)
	}
	if _, err := os.Stat(path); outside && err != nil {
		t.Errorf("TearDown took what is not its own: %v", err)
	}
	t.Run("tears down twice", func(t *testing.T) { tearDown(t, p, dir) })
}

func setUp(t *testing.T, p volume.Plugin, pod *corev1.Pod, v *corev1.Volume, dir string) string {
	t.Helper()
	path, err := p.SetUp(context.Background(), pod, v, dir)
	if err != nil {
		t.Fatalf("SetUp: %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("SetUp said %s, but: %v", path, err)
	}
	return path
}

func tearDown(t *testing.T, p volume.Plugin, dir string) {
	t.Helper()
	if err := p.TearDown(context.Background(), dir); err != nil {
		t.Errorf("TearDown: %v", err)
	}
}

// listing is what is in a directory, with inode times, so that a rewrite shows.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		b.WriteString(path + " " + info.Mode().String() + " " + info.ModTime().String() + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
