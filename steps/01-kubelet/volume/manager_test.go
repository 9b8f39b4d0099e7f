package volume_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/downwardapi"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/emptydir"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/hostpath"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/projected"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/volumetest"
)

func TestMain(m *testing.M) { volumetest.Main(m) }

func manager(root string) *volume.Manager {
	return volume.NewManager(volume.Config{RootDir: root, Plugins: []volume.Plugin{
		emptydir.Plugin{}, hostpath.Plugin{}, downwardapi.Plugin{}, projected.Plugin{Sources: []projected.Source{projected.DownwardAPI{}}},
	}})
}

func podOf(t *testing.T, spec string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", UID: "1234"}}
	if err := yaml.UnmarshalStrict([]byte(spec), &pod.Spec); err != nil {
		t.Fatal(err)
	}
	return pod
}

// mount mounts the pod's volumes and takes them away at the test's end.
func mount(t *testing.T, root string, pod *corev1.Pod) (*volume.Manager, map[string]volume.Mounted) {
	t.Helper()
	volumetest.Root(t)
	m := manager(root)
	t.Cleanup(func() {
		if err := m.Unmount(context.Background(), pod.UID); err != nil {
			t.Error(err)
		}
		if left := mountsBelow(t, filepath.Join(root, "pods", string(pod.UID))); len(left) > 0 {
			t.Errorf("mounts left: %v", left)
		}
	})
	mounted, err := m.Mount(context.Background(), pod)
	if err != nil {
		t.Fatal(err)
	}
	return m, mounted
}

func mountsBelow(t *testing.T, dir string) []string {
	t.Helper()
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range mounts {
		out = append(out, m.Mountpoint)
	}
	return out
}

const four = `
volumes:
- {name: disk, emptyDir: {}}
- {name: memory, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
- {name: info, downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}}
- {name: unused, persistentVolumeClaim: {claimName: none}}
containers:
- {name: main, volumeMounts: [{name: disk, mountPath: /d}, {name: memory, mountPath: /m}]}
initContainers:
- {name: init, volumeMounts: [{name: info, mountPath: /i}]}
`

func TestMountAndUnmount(t *testing.T) {
	root := t.TempDir()
	pod := podOf(t, four)
	m, mounted := mount(t, root, pod)
	base := filepath.Join(root, "pods/1234/volumes")
	want := map[string]volume.Mounted{
		"disk":   {Path: base + "/kubernetes.io~empty-dir/disk", Plugin: "kubernetes.io~empty-dir"},
		"memory": {Path: base + "/kubernetes.io~empty-dir/memory", Plugin: "kubernetes.io~empty-dir"},
		"info":   {Path: base + "/kubernetes.io~downward-api/info", Plugin: "kubernetes.io~downward-api", ReadOnly: true},
	}
	for name, w := range want {
		if mounted[name] != w {
			t.Errorf("%s: got %+v, want %+v", name, mounted[name], w)
		}
	}
	if len(mounted) != len(want) {
		t.Errorf("got %v; the volume that no container mounts must be left out", mounted)
	}

	pod.Name = "renamed"
	if _, err := m.Mount(context.Background(), pod); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(mounted["info"].Path, "name")); err != nil || string(got) != "renamed" {
		t.Errorf("downward API after a sync: got %q, %v", got, err)
	}

	// A kubelet that has just been started takes it all down, twice.
	fresh := manager(root)
	for range 2 {
		if err := fresh.Unmount(context.Background(), pod.UID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(base); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestMountRefusesUnknownKinds(t *testing.T) {
	pod := podOf(t, `{volumes: [{name: v, persistentVolumeClaim: {claimName: c}}], containers: [{name: a, volumeMounts: [{name: v, mountPath: /v}]}]}`)
	_, err := manager(t.TempDir()).Mount(context.Background(), pod)
	if want := `MountVolume.SetUp failed for volume "v" : no plugin of this node supports this kind of volume`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestUnmountDoesNotDeleteWhatContainersMounted(t *testing.T) {
	root, precious := t.TempDir(), t.TempDir()
	file := filepath.Join(precious, "file")
	if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	pod := podOf(t, four)
	m, mounted := mount(t, root, pod)
	inner := filepath.Join(mounted["disk"].Path, "inner")
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 { // one over the other, as Bidirectional propagation can leave them
		if err := unix.Mount(precious, inner, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Unmount(context.Background(), pod.UID); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

func TestRemoveOrphans(t *testing.T) {
	root := t.TempDir()
	kept, gone := podOf(t, four), podOf(t, four)
	gone.UID = "gone"
	_, mounted := mount(t, root, kept)
	mount(t, root, gone)
	err := manager(root).RemoveOrphans(context.Background(), func(uid types.UID) bool { return uid == kept.UID })
	if err != nil {
		t.Fatal(err)
	}
	if left := mountsBelow(t, filepath.Join(root, "pods/gone")); len(left) > 0 {
		t.Errorf("got %v", left)
	}
	if _, err := os.Stat(mounted["disk"].Path); err != nil {
		t.Error(err)
	}
}

func TestUnmountRefusesWhatItDoesNotKnow(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "pods/1234/volumes/example.com~disk/v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	err := manager(root).Unmount(context.Background(), "1234")
	if err == nil || !strings.Contains(err.Error(), "no such plugin") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("%v: data of an unknown kind must stay", err)
	}
}

func TestUsage(t *testing.T) {
	root := t.TempDir()
	pod := podOf(t, `
volumes: [{name: d, emptyDir: {sizeLimit: 100Ki}}, {name: h, hostPath: {path: /}}]
containers: [{name: a, volumeMounts: [{name: d, mountPath: /d}, {name: h, mountPath: /h}]}]`)
	m, mounted := mount(t, root, pod)
	dir := mounted["d"].Path
	measure := func() volume.Usage {
		t.Helper()
		usage, err := m.Usage(context.Background(), pod)
		if err != nil {
			t.Fatal(err)
		}
		if len(usage) != 1 || usage[0].Name != "d" {
			t.Fatalf("got %+v, want the emptyDir alone", usage)
		}
		if message := volume.OverLimit(usage); (message != "") != (usage[0].Used > 100<<10) {
			t.Errorf("%d bytes used: got message %q", usage[0].Used, message)
		}
		return usage[0]
	}
	empty := measure()
	if err := os.WriteFile(filepath.Join(dir, "f"), make([]byte, 90<<10), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(dir, "f"), filepath.Join(dir, "g")); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "f"), 1<<30); err != nil {
		t.Fatal(err)
	}
	got := measure()
	if used := got.Used - empty.Used; used < 90<<10 || used > 100<<10 || got.Inodes-empty.Inodes != 1 {
		t.Errorf("a sparse file with two names: got %d bytes, %d inodes", used, got.Inodes-empty.Inodes)
	}
	if err := os.WriteFile(filepath.Join(dir, "h"), make([]byte, 20<<10), 0o644); err != nil {
		t.Fatal(err)
	}
	measure()
}

func TestWatchLimits(t *testing.T) {
	pod := podOf(t, `{volumes: [{name: d, emptyDir: {sizeLimit: 100Ki}}], containers: [{name: a, volumeMounts: [{name: d, mountPath: /d}]}]}`)
	over := pod.DeepCopy()
	over.UID = "over"
	ended := over.DeepCopy()
	ended.Status.Phase = corev1.PodFailed
	without := podOf(t, four)
	root := t.TempDir()
	m, _ := mount(t, root, pod)
	_, mounted := mount(t, root, over)
	if err := os.WriteFile(filepath.Join(mounted["d"].Path, "f"), make([]byte, 200<<10), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	evicted := 0
	err := m.WatchLimits(ctx, time.Millisecond, func() []*corev1.Pod { return []*corev1.Pod{ended, without, pod, over} }, func(p *corev1.Pod, message string) {
		if p != over || message != `Usage of EmptyDir volume "d" exceeds the limit "100Ki". ` {
			t.Errorf("got %s: %q", p.UID, message)
		}
		if evicted++; evicted == 2 { // it tells again, if the first time did not help
			cancel()
		}
	})
	if err != nil || evicted < 2 {
		t.Errorf("got %d evictions, %v", evicted, err)
	}
}

func TestOverLimit(t *testing.T) {
	limit := resource.MustParse("1Mi")
	usage := []volume.Usage{{Name: "a", Used: 1 << 30}, {Name: "b", Used: 1 << 20, Limit: &limit}, {Name: "c", Used: 1<<20 + 1, Limit: &limit}}
	if got, want := volume.OverLimit(usage), `Usage of EmptyDir volume "c" exceeds the limit "1Mi". `; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSetOwnership(t *testing.T) {
	volumetest.Root(t)
	dir := t.TempDir()
	for _, err := range []error{
		os.Chmod(dir, 0o700),
		os.Mkdir(filepath.Join(dir, "sub"), 0o700),
		os.WriteFile(filepath.Join(dir, "sub/file"), nil, 0o600),
		os.WriteFile(filepath.Join(dir, "target"), nil, 0o600),
		os.Symlink("target", filepath.Join(dir, "link")),
		os.Symlink("/etc/passwd", filepath.Join(dir, "escape")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.Stat("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	pod := podOf(t, `securityContext: {fsGroup: 4000, fsGroupChangePolicy: OnRootMismatch}`)
	check := func(path string, mode os.FileMode, gid uint32) {
		t.Helper()
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(dir, path), &st); err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != mode || st.Gid != gid {
			t.Errorf("%s: got %v, group %d, want %v, group %d", path, info.Mode(), st.Gid, mode, gid)
		}
	}
	if err := volume.SetOwnership(dir, pod); err != nil {
		t.Fatal(err)
	}
	check(".", os.ModeDir|os.ModeSetgid|0o770, 4000)
	check("sub", os.ModeDir|os.ModeSetgid|0o770, 4000)
	check("sub/file", 0o660, 4000)
	check("link", os.ModeSymlink|0o777, 4000)
	if after, err := os.Stat("/etc/passwd"); err != nil || after.Mode() != before.Mode() {
		t.Errorf("/etc/passwd: got %v, %v", after, err)
	}

	if err := os.Lchown(filepath.Join(dir, "sub/file"), 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := volume.SetOwnership(dir, pod); err != nil {
		t.Fatal(err)
	}
	check("sub/file", 0o660, 0) // the root matches: nobody looked
	pod.Spec.SecurityContext.FSGroupChangePolicy = nil
	if err := volume.SetOwnership(dir, pod); err != nil {
		t.Fatal(err)
	}
	check("sub/file", 0o660, 4000)
}

func TestModes(t *testing.T) {
	for _, bits := range []int32{0, 0o644, 0o1777, 0o2750, 0o4755} {
		m := volume.FileMode(bits)
		dir := t.TempDir()
		if err := os.Chmod(dir, m); err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Stat(dir, &st); err != nil {
			t.Fatal(err)
		}
		if got := int32(st.Mode & 0o7777); got != bits {
			t.Errorf("got %o, want %o", got, bits)
		}
	}
	modes := []os.FileMode{
		volume.GroupMode(0o600, false), volume.GroupMode(0o600, true), volume.GroupMode(0o444, true), volume.GroupMode(os.ModeDir|0o700, true),
	}
	if want := []os.FileMode{0o660, 0o640, 0o444, os.ModeDir | os.ModeSetgid | 0o750}; !slices.Equal(modes, want) {
		t.Errorf("got %v, want %v", modes, want)
	}
}
