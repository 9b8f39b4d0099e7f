package emptydir

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/volumetest"
)

func TestMain(m *testing.M) { volumetest.Main(m) }

func TestConformance(t *testing.T) {
	for _, source := range []string{`{}`, `{medium: Memory}`, `{medium: Memory, sizeLimit: 1Mi}`} {
		t.Run(source, func(t *testing.T) { volumetest.Run(t, Plugin{}, volumeOf(t, source), false) })
	}
}

func volumeOf(t *testing.T, source string) *corev1.Volume {
	t.Helper()
	v := &corev1.Volume{Name: "data"}
	if err := yaml.UnmarshalStrict([]byte("emptyDir: "+source), v); err != nil {
		t.Fatal(err)
	}
	return v
}

func podOf(t *testing.T, spec string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{}
	if err := yaml.UnmarshalStrict([]byte(spec), &pod.Spec); err != nil {
		t.Fatal(err)
	}
	return pod
}

func TestModeAndOwner(t *testing.T) {
	volumetest.Root(t)
	for _, tt := range []struct{ name, volume, pod, want string }{
		{"disk", `{}`, `{}`, "drwxrwxrwx 0"},
		{"memory", `{medium: Memory}`, `{}`, "drwxrwxrwx 0"},
		{"own mode", `{mode: 1023}`, `{}`, "dtrwxrwxrwx 0"},
		{"own mode in memory", `{mode: 488, medium: Memory}`, `{}`, "drwxr-x--- 0"},
		{"fsGroup", `{}`, `{securityContext: {fsGroup: 4000}}`, "dgrwxrwxrwx 4000"},
		{"fsGroup in memory", `{medium: Memory}`, `{securityContext: {fsGroup: 4000}}`, "dgrwxrwxrwx 4000"},
		{"fsGroup wins over the mode", `{mode: 448}`, `{securityContext: {fsGroup: 4000}}`, "dgrwxrwx--- 4000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			t.Cleanup(func() {
				if err := volume.Remove(dir); err != nil {
					t.Error(err)
				}
			})
			if _, err := (Plugin{}).SetUp(context.Background(), podOf(t, tt.pod), volumeOf(t, tt.volume), dir); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(dir)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(info.Mode(), " ", info.Sys().(*syscall.Stat_t).Gid); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestMemoryIsBounded(t *testing.T) {
	limited := `containers: [{name: a, resources: {limits: {memory: 8Mi}}}, {name: b, resources: {limits: {memory: 8Mi}}}]`
	for _, tt := range []struct {
		name, volume, pod string
		memory, want      int64
	}{
		{"by nothing", `{medium: Memory}`, `{}`, 0, 0},
		{"by the node", `{medium: Memory}`, `{}`, 64 << 20, 64 << 20},
		{"by the limit", `{medium: Memory, sizeLimit: 4Mi}`, limited, 64 << 20, 4 << 20},
		{"by the pod", `{medium: Memory, sizeLimit: 32Mi}`, limited, 64 << 20, 16 << 20},
		{"not by half a pod", `{medium: Memory}`, `containers: [{name: a, resources: {limits: {memory: 8Mi}}}, {name: b}]`, 64 << 20, 64 << 20},
		{"the pod's sidecars count", `{medium: Memory}`, `{initContainers: [{name: s, restartPolicy: Always, resources: {limits: {memory: 8Mi}}}], containers: [{name: a, resources: {limits: {memory: 8Mi}}}]}`, 64 << 20, 16 << 20},
		{"and so do its init containers", `{medium: Memory}`, `{initContainers: [{name: i, resources: {limits: {memory: 32Mi}}}], containers: [{name: a, resources: {limits: {memory: 8Mi}}}]}`, 64 << 20, 32 << 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := (Plugin{Memory: tt.memory}).size(podOf(t, tt.pod), volumeOf(t, tt.volume)); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestTheKernelEnforcesTheSizeInMemory(t *testing.T) {
	volumetest.Root(t)
	dir := filepath.Join(t.TempDir(), "data")
	defer volume.Remove(dir)
	if _, err := (Plugin{}).SetUp(context.Background(), podOf(t, `{}`), volumeOf(t, `{medium: Memory, sizeLimit: 64Ki}`), dir); err != nil {
		t.Fatal(err)
	}
	err := os.WriteFile(filepath.Join(dir, "big"), make([]byte, 128<<10), 0o644)
	if err == nil || !strings.Contains(err.Error(), unix.ENOSPC.Error()) {
		t.Errorf("got %v, want ENOSPC", err)
	}
}

func TestHugePagesAreRefused(t *testing.T) {
	_, err := (Plugin{}).SetUp(context.Background(), podOf(t, `{}`), volumeOf(t, `{medium: HugePages-2Mi}`), filepath.Join(t.TempDir(), "data"))
	if want := `emptyDir medium "HugePages-2Mi" is not supported`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestACrashWhileMakingItLeavesNothingHalf(t *testing.T) {
	parent := t.TempDir()
	left := filepath.Join(parent, ".new-left")
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "data")
	if _, err := (Plugin{}).SetUp(context.Background(), podOf(t, `{}`), volumeOf(t, `{}`), dir); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("got %v, %v", info, err)
	}
	if err := (Plugin{}).TearDown(context.Background(), left); err != nil { // the manager takes down whatever is there
		t.Error(err)
	}
}
