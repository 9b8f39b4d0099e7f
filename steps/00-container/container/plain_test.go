package container

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runc/libcontainer/configs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/steps/00-container/internal/runtimetest"
)

// The test's program is its own init, as runtime-shim is.
func init() {
	if len(os.Args) > 1 && os.Args[1] == "init" {
		Init()
	}
}

func TestMain(m *testing.M) { runtimetest.Main(m) }

// nothing leaves all to libcontainer.
func nothing(*configs.Config) (*plainTree, error) { return nil, nil }

func TestAContainerIsTheSameWithAndWithoutThePlainTree(t *testing.T) {
	runtimetest.NeedRoot(t)
	shm := t.TempDir()
	hosts := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(hosts, []byte("::1 localhost\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	look := func(take func(*configs.Config) (*plainTree, error)) string {
		return inContainer(t, take, func(s *specs.Spec) {
			s.Mounts = append(s.Mounts,
				specs.Mount{Destination: "/dev/shm", Type: "bind", Source: shm, Options: []string{"nosuid", "nodev", "noexec", "rbind", "rprivate"}},
				specs.Mount{Destination: "/etc/hosts", Type: "bind", Source: hosts, Options: []string{"ro", "rbind", "rprivate"}},
				specs.Mount{Destination: "/etc/hostname", Type: "bind", Source: hosts, Options: []string{"rw", "rbind", "rprivate"}})
			minor, major := int64(200), int64(10)
			s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/net/tun", Type: "c", Major: major, Minor: minor}}
		})
	}
	plain, careful := look(newPlainTree), look(nothing)
	if plain != careful {
		t.Errorf("with the plain tree the container sees\n%s\nwithout\n%s", plain, careful)
	}
	if !strings.Contains(plain, " /dev/pts ") || !strings.Contains(plain, "/dev/net/tun") || !strings.Contains(plain, "/proc/sys ") {
		t.Errorf("this is no container:\n%s", plain)
	}
}

func TestALinkInTheImageIsLeftToLibcontainer(t *testing.T) {
	runtimetest.NeedRoot(t)
	for _, dir := range []string{"proc", "dev", "sys"} {
		outside := t.TempDir()
		rootfs := newRootfs(t)
		if err := os.Symlink(outside, filepath.Join(rootfs, dir)); err != nil {
			t.Fatal(err)
		}
		spec := newSpec(rootfs)
		config, err := configOf("link", spec)
		if err != nil {
			t.Fatal(err)
		}
		if tree, err := newPlainTree(config); tree != nil || err != nil {
			t.Errorf("/%s is a link: got %v, %v, want no tree", dir, tree, err)
		}
	}
}

func TestALinkInEtcIsLeftToLibcontainer(t *testing.T) {
	runtimetest.NeedRoot(t)
	rootfs, outside := newRootfs(t), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(rootfs, "etc")); err != nil {
		t.Fatal(err)
	}
	spec := newSpec(rootfs)
	spec.Mounts = append(spec.Mounts, specs.Mount{Destination: "/etc/hosts", Type: "bind", Source: os.Args[0], Options: []string{"rbind"}})
	config, err := configOf("link", spec)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := newPlainTree(config)
	if err != nil || tree == nil {
		t.Fatal(tree, err)
	}
	if i := slices.IndexFunc(config.Mounts, func(m *configs.Mount) bool { return m.Destination == "/etc/hosts" }); i < 0 {
		t.Error("the mount through a link of the image was taken from libcontainer")
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("outside of the image there is now %v, %v", left, err)
	}
}

// A volume in /etc gets a directory, and it is libcontainer that makes it.
func TestAVolumeInEtcIsLeftToLibcontainer(t *testing.T) {
	runtimetest.NeedRoot(t)
	rootfs := newRootfs(t)
	if err := os.Mkdir(filepath.Join(rootfs, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	spec := newSpec(rootfs)
	spec.Mounts = append(spec.Mounts, specs.Mount{Destination: "/etc/app", Type: "bind", Source: t.TempDir(), Options: []string{"bind", "ro"}})
	config, err := configOf("volume", spec)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newPlainTree(config); err != nil {
		t.Fatal(err)
	}
	if there, err := os.Lstat(filepath.Join(rootfs, "etc/app")); err == nil {
		t.Errorf("/etc/app was made, with mode %v", there.Mode())
	}
}

func TestADeviceWhereOthersCanWriteIsLeftToLibcontainer(t *testing.T) {
	runtimetest.NeedRoot(t)
	for place, want := range map[string]bool{"/dev/x": true, "/dev/net/../y": true, "/dev/shm/x": false, "/dev/../x": false} {
		spec := newSpec(newRootfs(t))
		spec.Linux.Devices = []specs.LinuxDevice{{Path: place, Type: "c", Major: 1, Minor: 3}}
		config, err := configOf("device", spec)
		if err != nil {
			t.Fatal(err)
		}
		if tree, err := newPlainTree(config); (tree != nil) != want || err != nil {
			t.Errorf("%s: got %v, %v, want a tree: %v", place, tree, err, want)
		}
	}
}

func TestWhatInitCannotMountIsInTheErrorOfStart(t *testing.T) {
	runtimetest.NeedRoot(t)
	spec := newSpec(newRootfs(t))
	c, err := start(t.TempDir(), fmt.Sprintf("groundup-test-%d", os.Getpid()), spec, Stdio{}, func(config *configs.Config) (*plainTree, error) {
		tree, err := newPlainTree(config)
		tree.Mounts[0].Type = "no-such-fs"
		return tree, err
	})
	if err == nil {
		t.Fatal(c.Destroy(), "a container was started without /proc")
	}
	if want := "mount proc at /proc: no such device"; !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want an error with %q", err, want)
	}
}

// inContainer says what a container has for mounts and devices. What differs from
// one to the next is left out: numbers of mounts, and of file systems.
func inContainer(t *testing.T, take func(*configs.Config) (*plainTree, error), change func(*specs.Spec)) string {
	t.Helper()
	spec := newSpec(newRootfs(t))
	change(spec)
	var out strings.Builder
	for i, args := range [][]string{{"cat", "/proc/self/mountinfo"}, {"ls", "/dev", "/dev/net", "/sys/fs/cgroup"}, {"readlink", "/proc/self/fd/0"}} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		spec.Process.Args = append([]string{"/guest"}, args...)
		c, err := start(filepath.Join(t.TempDir(), "oci"), fmt.Sprintf("groundup-test-%d-%d", os.Getpid(), i), spec, Stdio{Out: w, Err: w}, take)
		w.Close()
		if err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(r)
		code, err2 := c.Wait()
		if err3 := c.Destroy(); err != nil || err2 != nil || err3 != nil || code != 0 {
			t.Fatalf("%v: exit code %d, %v, %v, %v\n%s", args, code, err, err2, err3, said)
		}
		out.Write(said)
	}
	numbers := regexp.MustCompile(`(?m)^\d+ \d+ \d+:\d+ `)
	places := regexp.MustCompile(regexp.QuoteMeta(os.TempDir()) + `\S*/00\d`)
	lines := strings.Split(places.ReplaceAllString(numbers.ReplaceAllString(out.String(), ""), "TMP"), "\n")
	slices.Sort(lines) // the order of mounting is another
	return strings.Join(lines, "\n")
}

func newRootfs(t *testing.T) string {
	t.Helper()
	rootfs := t.TempDir()
	if err := unix.Mount(rootfs, rootfs, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(rootfs, unix.MNT_DETACH) })
	guest, err := os.ReadFile(filepath.Join(runtimetest.Binaries(t), "guest"))
	if err == nil {
		err = os.WriteFile(filepath.Join(rootfs, "guest"), guest, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return rootfs
}

// newSpec is near to what package spec makes of an empty request.
func newSpec(rootfs string) *specs.Spec {
	own := func(kinds ...specs.LinuxNamespaceType) (ns []specs.LinuxNamespace) {
		for _, kind := range kinds {
			ns = append(ns, specs.LinuxNamespace{Type: kind})
		}
		return ns
	}
	return &specs.Spec{
		Version: specs.Version,
		Root:    &specs.Root{Path: rootfs},
		Process: &specs.Process{Cwd: "/", Args: []string{"/guest"}},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
			{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
			{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}},
		},
		Linux: &specs.Linux{
			CgroupsPath:   fmt.Sprintf("/groundup-test-%d", os.Getpid()),
			Namespaces:    own(specs.MountNamespace, specs.PIDNamespace, specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.CgroupNamespace),
			MaskedPaths:   []string{"/proc/kcore", "/proc/keys", "/sys/firmware"},
			ReadonlyPaths: []string{"/proc/sys"},
			Resources:     &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}},
		},
	}
}
