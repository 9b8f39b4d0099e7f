package volume_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
)

// subPaths is a pod with one emptyDir, and the function under test.
func subPaths(t *testing.T) (dir string, make func(index int, subPath string) (string, error)) {
	t.Helper()
	pod := podOf(t, `{volumes: [{name: v, emptyDir: {}}], containers: [{name: main, volumeMounts: [{name: v, mountPath: /v}]}]}`)
	m, mounted := mount(t, t.TempDir(), pod)
	bind := m.SubPaths(pod, "main", mounted)
	return mounted["v"].Path, func(index int, subPath string) (string, error) { return bind(index, "v", subPath) }
}

func TestSubPath(t *testing.T) {
	for _, tt := range []struct {
		name, subPath string
		prepare       func(dir string) error
		want          string // where in the volume it leads
		err           string
	}{
		{name: "missing", subPath: "a/b/c", want: "a/b/c"},
		{name: "partly there", subPath: "a/b", prepare: func(dir string) error { return os.Mkdir(dir+"/a", 0o700) }, want: "a/b"},
		{name: "a file", subPath: "f", prepare: func(dir string) error { return os.WriteFile(dir+"/f", nil, 0o644) }, want: "f"},
		{name: "the volume itself", subPath: ".", want: "."},
		{name: "a link inside", subPath: "l/x", prepare: func(dir string) error {
			return errors.Join(os.Mkdir(dir+"/real", 0o755), os.Symlink("real", dir+"/l"))
		}, want: "real/x"},
		{name: "a link up and down again", subPath: "d/l", prepare: func(dir string) error {
			return errors.Join(os.Mkdir(dir+"/d", 0o755), os.Mkdir(dir+"/e", 0o755), os.Symlink("../e", dir+"/d/l"))
		}, want: "e"},
		{name: "a link out", subPath: "l", prepare: func(dir string) error { return os.Symlink("/etc", dir+"/l") }, err: "l leads out of the volume"},
		{name: "a link out halfway", subPath: "l/passwd", prepare: func(dir string) error { return os.Symlink("../../../../../../etc", dir+"/l") },
			err: "l leads out of the volume"},
		{name: "a dangling link", subPath: "l/x", prepare: func(dir string) error { return os.Symlink("none", dir+"/l") }, err: "openat l"},
		{name: "below a file", subPath: "f/x", prepare: func(dir string) error { return os.WriteFile(dir+"/f", nil, 0o644) }, err: "not a directory"},
		{name: "a magic link", subPath: "fd/0", prepare: func(dir string) error { return os.Symlink("/proc/self/fd", dir+"/fd") }, err: "leads out of the volume"},
		{name: "up", subPath: "a/../../b", err: "must be a relative path without '..'"},
		{name: "absolute", subPath: "/etc", err: "must be a relative path"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, bind := subPaths(t)
			if tt.prepare != nil {
				if err := tt.prepare(dir); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 { // a container that is started again gets it again
				got, err := bind(0, tt.subPath)
				if tt.err != "" {
					if err == nil || !strings.Contains(err.Error(), tt.err) {
						t.Fatalf("got %v, want %s", err, tt.err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if !same(t, got, filepath.Join(dir, tt.want)) {
					t.Errorf("%s is not %s", got, tt.want)
				}
			}
		})
	}
}

func same(t *testing.T, a, b string) bool {
	t.Helper()
	x, err := os.Stat(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.Stat(b)
	if err != nil {
		t.Fatal(err)
	}
	return os.SameFile(x, y)
}

func TestMadeDirectoriesTakeAfterTheVolume(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	dir, bind := subPaths(t)
	if err := os.Chmod(dir, 0o775|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(dir, 0, 4000); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o775|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	if _, err := bind(0, "a/b"); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(dir+"/a/b", &st); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%o %d", st.Mode&0o7777, st.Gid), "2775 4000"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A container swaps a directory of its volume for a link to /etc, again and
// again, while the kubelet prepares the subPath. Whatever the kubelet hands to
// the runtime must be in the volume.
func TestSubPathAgainstAContainerThatSwapsDirectories(t *testing.T) {
	dir, bind := subPaths(t)
	if err := errors.Join(os.MkdirAll(dir+"/d/x", 0o755), os.Symlink("/etc", dir+"/l")); err != nil {
		t.Fatal(err)
	}
	var inside unix.Stat_t
	if err := unix.Stat(dir, &inside); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if err := unix.Renameat2(unix.AT_FDCWD, dir+"/d", unix.AT_FDCWD, dir+"/l", unix.RENAME_EXCHANGE); err != nil {
				stopped <- err
				return
			}
		}
	}()
	refused := 0
	etc, err := os.Stat("/etc")
	if err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		target, err := bind(0, "d/x")
		if err != nil {
			refused++
			continue
		}
		for _, path := range []string{target, filepath.Dir(target)} {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if os.SameFile(info, etc) {
				t.Fatal("got /etc")
			}
		}
		if link, err := filepath.EvalSymlinks(target); err != nil || link != target {
			t.Fatalf("got a link to %s, %v", link, err)
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/etc/x"); !os.IsNotExist(err) {
		t.Errorf("/etc/x: got %v; a directory was made outside of the volume", err)
	}
	t.Logf("%d of 2000 refused", refused)
	if refused == 2000 {
		t.Error("none got through; the race was not tried")
	}
}

func TestSubPathOfAFileThatIsReplacedStaysWhatItWas(t *testing.T) {
	dir, bind := subPaths(t)
	if err := os.WriteFile(dir+"/f", []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	target, err := bind(0, "f")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(dir+"/f"), os.Symlink("/etc/passwd", dir+"/f")); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(target); err != nil || string(got) != "old" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestSubPathOfAVolumeThatIsNotThere(t *testing.T) {
	bind := manager(t.TempDir()).SubPaths(&corev1.Pod{}, "main", map[string]volume.Mounted{})
	if _, err := bind(0, "none", "a"); err == nil {
		t.Error("no error")
	}
}
