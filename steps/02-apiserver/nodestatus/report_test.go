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
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
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

// What was seen of the node may be old: it never keeps a pod out by itself.
func TestMisplaced(t *testing.T) {
	ssd := map[string]string{"disk": "ssd"}
	drain := []corev1.Taint{{Key: "drain", Effect: corev1.TaintEffectNoExecute}}
	plain, picky := &corev1.Pod{}, &corev1.Pod{Spec: corev1.PodSpec{NodeSelector: ssd}}
	patient := &corev1.Pod{Spec: corev1.PodSpec{Tolerations: []corev1.Toleration{{Key: "drain", Operator: corev1.TolerationOpExists}}}}
	static := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{podsource.Annotation: "file"}}}
	for _, c := range []struct {
		name      string
		pod       *corev1.Pod
		seen, now *corev1.Node
		want      string
	}{
		{"no wishes", plain, &corev1.Node{}, nil, ""},
		{"another node is wanted", picky, &corev1.Node{}, &corev1.Node{}, "NodeAffinity: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"},
		{"this one", picky, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: ssd}}, nil, ""},
		{"this one, since a moment", picky, &corev1.Node{}, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: ssd}}, ""},
		{"who could say is away", picky, &corev1.Node{}, nil, "NodeAffinity: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"},
		{"driven away", plain, &corev1.Node{Spec: corev1.NodeSpec{Taints: drain}}, &corev1.Node{Spec: corev1.NodeSpec{Taints: drain}}, "TaintToleration: Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate"},
		{"not any more", plain, &corev1.Node{Spec: corev1.NodeSpec{Taints: drain}}, &corev1.Node{}, ""},
		{"stays", patient, &corev1.Node{Spec: corev1.NodeSpec{Taints: drain}}, nil, ""},
		{"is from here", static, &corev1.Node{Spec: corev1.NodeSpec{Taints: drain}}, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := fake.NewClientset()
			if c.now != nil {
				c.now.Name = "n"
				client = fake.NewClientset(c.now)
			}
			r := &Reporter{Nodes: client.CoreV1(), Identity: Identity{Name: "n"}, Log: slog.New(slog.DiscardHandler)}
			r.found(c.seen)
			got := ""
			if refused := r.Misplaced(t.Context(), c.pod); refused != nil {
				got = refused.Reason + ": " + refused.Message
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
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
	memory := corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}
	capacity, allocatable, err := Resources(criconfig.Node{RootDir: root, Capacity: memory, Allocatable: memory}, root,
		map[Signal]Threshold{NodeFsAvailable: {Percentage: 10}, MemoryAvailable: {Quantity: resource.MustParse("100Mi")}})
	if err != nil {
		t.Fatal(err)
	}
	if pages := capacity["hugepages-2Mi"]; pages.String() != "6Mi" {
		t.Errorf("got huge pages %s, want 6Mi", pages.String())
	}
	if all, left := capacity.Memory(), allocatable.Memory(); all.String() != "1Gi" || left.String() != "918Mi" {
		t.Errorf("got %s of %s of memory for pods, want all but 100Mi that are kept free and 6Mi in huge pages", left, all)
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
