package nodestatus

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// machine is a node that is well, or short of memory.
type machine struct{ short atomic.Bool }

func (*machine) Status(context.Context, *runtimeapi.StatusRequest) (*runtimeapi.StatusResponse, error) {
	return &runtimeapi.StatusResponse{}, nil
}

func (*machine) ListImages(context.Context, *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error) {
	return &runtimeapi.ListImagesResponse{}, nil
}

func (m *machine) Node(context.Context) statsapi.NodeStats {
	available, used := uint64(1<<30), uint64(0)
	if m.short.Load() {
		available = 0
	}
	return statsapi.NodeStats{Memory: &statsapi.MemoryStats{AvailableBytes: &available, WorkingSetBytes: &used}}
}

func newReporter(client *fake.Clientset, m *machine) *Reporter {
	thresholds, _ := ParseThresholds(DefaultThresholds)
	return &Reporter{Nodes: client.CoreV1(), Identity: Identity{Name: "node-1"}, Register: true, Fixed: facts(), Runtime: m, Images: m, Numbers: m,
		Healthy: func() error { return nil }, Thresholds: thresholds, Update: 10 * time.Second, Report: 5 * time.Minute,
		Event: func(string, string, string) {}, Log: slog.New(slog.DiscardHandler)}
}

func getNode(t *testing.T, client *fake.Clientset) *corev1.Node {
	t.Helper()
	n, err := client.CoreV1().Nodes().Get(t.Context(), "node-1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestReporting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, m := fake.NewClientset(), &machine{}
		var away atomic.Bool
		var patches atomic.Int32
		away.Store(true)
		client.PrependReactor("*", "nodes", func(a kubetesting.Action) (bool, runtime.Object, error) {
			if away.Load() {
				return true, nil, errors.New("connection refused")
			}
			if a.GetVerb() == "patch" {
				patches.Add(1)
			}
			return false, nil, nil
		})
		r := newReporter(client, m)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()

		time.Sleep(time.Hour) // of outage
		if r.UID() != "" {
			t.Error("the node has a UID before it is registered")
		}
		away.Store(false)
		time.Sleep(20 * time.Second)
		if got := lines(getNode(t, client).Status.Conditions); len(got) != 4 || got[3] != "Ready=True KubeletReady" {
			t.Errorf("got %q", got)
		}
		before := patches.Load()
		time.Sleep(4 * time.Minute)
		if got := patches.Load() - before; got > 1 {
			t.Errorf("got %d reports in four minutes in which nothing has changed", got)
		}
		time.Sleep(2 * time.Minute)
		if patches.Load() == 0 {
			t.Error("got no report of a node that is as it was for six minutes, want a heartbeat")
		}
		m.short.Store(true)
		time.Sleep(11 * time.Second)
		if got := lines(getNode(t, client).Status.Conditions); got[0] != "MemoryPressure=True KubeletHasInsufficientMemory" {
			t.Errorf("got %q", got)
		}
		r.Leave("node is shutting down")
		synctest.Wait()
		if c := find(getNode(t, client).Status.Conditions, corev1.NodeReady); c.Status != "False" || c.Message != "node is shutting down" {
			t.Errorf("got %+v", c)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestANodeThatIsThereIsTaken(t *testing.T) {
	client := fake.NewClientset(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1", UID: "uid",
		Labels: map[string]string{"kubernetes.io/os": "plan9", "disk": "ssd"}}, Spec: corev1.NodeSpec{Unschedulable: true}})
	r := newReporter(client, &machine{})
	if err := r.register(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := getNode(t, client)
	if r.UID() != "uid" || n.Labels["kubernetes.io/os"] != "linux" || n.Labels["disk"] != "ssd" || !n.Spec.Unschedulable {
		t.Errorf("got %+v: want the default labels put right and the rest as it was", n)
	}
}

func TestSystemInfo(t *testing.T) {
	root := t.TempDir()
	for path, text := range map[string]string{
		"etc/machine-id": "m1\n", "proc/sys/kernel/random/boot_id": "b1\n", "proc/sys/kernel/osrelease": "6.1.0\n",
		"etc/os-release": "NAME=\"Debian\"\nPRETTY_NAME=\"Debian 12\"\n",
		"sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "3\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got := SystemInfo(root, &runtimeapi.VersionResponse{RuntimeName: "groundup", RuntimeVersion: "1"}, "v1")
	if got.MachineID != "m1" || got.BootID != "b1" || got.SystemUUID != "m1" || got.KernelVersion != "6.1.0" || got.OSImage != "Debian 12" ||
		got.ContainerRuntimeVersion != "groundup://1" || got.KubeletVersion != "v1" {
		t.Errorf("got %+v", got)
	}
	capacity, allocatable, err := Storage(root, root, map[Signal]Threshold{NodeFsAvailable: {Percentage: 10}})
	if err != nil {
		t.Fatal(err)
	}
	if pages := capacity["hugepages-2Mi"]; pages.String() != "6Mi" {
		t.Errorf("got huge pages %s, want 6Mi", pages.String())
	}
	all, left := capacity.StorageEphemeral().Value(), allocatable.StorageEphemeral().Value()
	if left >= all || left < all*89/100 {
		t.Errorf("got %d of %d bytes allocatable, want 90%%", left, all)
	}
}

func TestEmptyMachine(t *testing.T) {
	got := SystemInfo(t.TempDir(), nil, "v1")
	if got.OSImage != "Linux" || !strings.HasPrefix(got.ContainerRuntimeVersion, "://") {
		t.Errorf("got %+v", got)
	}
}
