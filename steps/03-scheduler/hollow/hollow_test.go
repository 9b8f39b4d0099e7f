package hollow

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
)

func TestDecide(t *testing.T) {
	now := metav1.Now()
	for _, tt := range []struct {
		name    string
		node    string
		phase   corev1.PodPhase
		deleted *metav1.Time
		want    act
	}{
		{"a pod that was just bound", "fake-3", corev1.PodPending, nil, run},
		{"a pod that runs", "fake-3", corev1.PodRunning, nil, nothing},
		{"a pod on a real node", "node-1", corev1.PodPending, nil, nothing},
		{"a name that only looks like ours", "fake-03", corev1.PodPending, nil, nothing},
		{"a pod that is to be deleted", "fake-3", corev1.PodRunning, &now, end},
		{"a pod on a node that we have no more", "fake-4", corev1.PodRunning, nil, end},
		{"a real node's pod that is to be deleted", "node-1", corev1.PodRunning, &now, nothing},
	} {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: tt.deleted},
			Spec:       corev1.PodSpec{NodeName: tt.node}, Status: corev1.PodStatus{Phase: tt.phase},
		}
		if got := decide(pod, 3); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestRenewEvery(t *testing.T) {
	for nodes, want := range map[int]time.Duration{1: 10 * time.Second, 500: 10 * time.Second, 1000: 20 * time.Second, 5000: 25 * time.Second} {
		if got := renewEvery(nodes); got != want {
			t.Errorf("renewEvery(%d): got %s, want %s", nodes, got, want)
		}
	}
}

func TestFleet(t *testing.T) {
	client := fake.NewClientset(
		boundPod("bound", "fake-2"),
		boundPod("real", "node-1"),
	)
	ctx := t.Context()
	fleet := Fleet{
		Client: client, Nodes: 3, Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler),
		Model: Model{Zones: 2, Allocatable: room("4", "110")},
	}
	stop := start(t, fleet)
	await(t, "the pod to run", func() bool {
		pod, err := client.CoreV1().Pods("default").Get(ctx, "bound", metav1.GetOptions{})
		return err == nil && pod.Status.Phase == corev1.PodRunning && pod.Status.ContainerStatuses[0].Ready
	})
	await(t, "a Lease", func() bool {
		leases, err := client.CoordinationV1().Leases(corev1.NamespaceNodeLease).List(ctx, metav1.ListOptions{})
		return err == nil && len(leases.Items) >= 1 && leases.Items[0].Spec.RenewTime != nil
	})
	if got, want := nodeNames(ctx, t, client), []string{"fake-1", "fake-2", "fake-3"}; !slices.Equal(got, want) {
		t.Errorf("nodes: got %v, want %v", got, want)
	}
	stop()

	fleet.Nodes, fleet.Model.Allocatable = 1, room("2", "110")
	stop = start(t, fleet)
	await(t, "the pod of a node that is gone to end", func() bool {
		_, err := client.CoreV1().Pods("default").Get(ctx, "bound", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	if got, want := nodeNames(ctx, t, client), []string{"fake-1"}; !slices.Equal(got, want) {
		t.Errorf("nodes: got %v, want %v", got, want)
	}
	if n, err := client.CoreV1().Nodes().Get(ctx, "fake-1", metav1.GetOptions{}); err != nil || n.Status.Allocatable.Cpu().Value() != 2 {
		t.Errorf("the node that stays: got %v, %v; want it to have two processors now", n, err)
	}
	real, err := client.CoreV1().Pods("default").Get(ctx, "real", metav1.GetOptions{})
	if err != nil || real.Status.Phase != corev1.PodPending {
		t.Errorf("the pod of a real node: got %v, %v; want it untouched", real, err)
	}
	stop()
}

// A fleet that is started again, be it to have more nodes, is the kubelet of nodes that
// there are: what others have written on them is not its own.
func TestLabelsOfOthersStay(t *testing.T) {
	client := fake.NewClientset()
	ctx, nodes := t.Context(), client.CoreV1().Nodes()
	labels := func(zones int) map[string]string {
		t.Helper()
		fleet := Fleet{Client: client, Nodes: 1, Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler), Model: Model{Zones: zones}}
		if err := fleet.settle(ctx); err != nil {
			t.Fatal(err)
		}
		n, err := nodes.Get(ctx, "fake-1", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return n.Labels
	}
	want := maps.Clone(labels(2))
	want["disk"] = "ssd"
	if _, err := nodes.Patch(ctx, "fake-1", types.MergePatchType, []byte(`{"metadata":{"labels":{"disk":"ssd"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := labels(2); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	delete(want, corev1.LabelTopologyZone)
	if got := labels(0); !maps.Equal(got, want) {
		t.Errorf("without zones: got %v, want %v", got, want)
	}
}

// A node controller takes a node for lost whose Lease is not renewed for 50 s.
func TestLeasesAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		stop := start(t, Fleet{Client: client, Nodes: 3, Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler)})
		for range 5 {
			time.Sleep(time.Minute) // of the bubble's time
			for _, name := range []string{"fake-1", "fake-2", "fake-3"} {
				l, err := client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(t.Context(), name, metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if old := time.Since(l.Spec.RenewTime.Time); old > 10*time.Second || *l.Spec.HolderIdentity != name {
					t.Errorf("the Lease of %s was renewed %s ago by %s", name, old, *l.Spec.HolderIdentity)
				}
			}
		}
		stop()
	})
}

// An API server that has much to do answers late, and then leases are renewed nevertheless.
func TestLeasesAreRenewedWhenAnswersAreLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, nodes := fake.NewClientset(), 20
		stop := start(t, Fleet{Client: late{client}, Nodes: nodes, Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler)})
		time.Sleep(time.Minute) // of the bubble's time
		leases, err := client.CoordinationV1().Leases(corev1.NamespaceNodeLease).List(t.Context(), metav1.ListOptions{})
		if err != nil || len(leases.Items) != nodes {
			t.Errorf("%d Leases, %v", len(leases.Items), err)
		}
		for _, l := range leases.Items {
			if old := time.Since(l.Spec.RenewTime.Time); old > renewAtMost {
				t.Errorf("the Lease of %s was renewed %s ago", l.Name, old)
			}
		}
		stop()
	})
}

// late answers late when leases are renewed.
type late struct{ kubernetes.Interface }

func (l late) CoordinationV1() coordinationclient.CoordinationV1Interface {
	return lateCoordination{l.Interface.CoordinationV1()}
}

type lateCoordination struct {
	coordinationclient.CoordinationV1Interface
}

func (l lateCoordination) Leases(namespace string) coordinationclient.LeaseInterface {
	return lateLeases{l.CoordinationV1Interface.Leases(namespace)}
}

type lateLeases struct {
	coordinationclient.LeaseInterface
}

func (l lateLeases) Patch(ctx context.Context, name string, kind types.PatchType, data []byte, o metav1.PatchOptions, sub ...string) (*coordinationv1.Lease, error) {
	time.Sleep(2 * time.Second) // of the bubble's time
	return l.LeaseInterface.Patch(ctx, name, kind, data, o, sub...)
}

// Its grace period has begun, and a hollow pod needs none of it.
func TestPodsThatAreDeletedEnd(t *testing.T) {
	pod := boundPod("bound", "fake-1")
	pod.Status.Phase, pod.DeletionTimestamp = corev1.PodRunning, ptr.To(metav1.Now())
	client := fake.NewClientset(pod)
	deleted := make(chan metav1.DeleteOptions, 1)
	client.PrependReactor("delete", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		deleted <- a.(clienttesting.DeleteActionImpl).DeleteOptions
		return true, nil, nil
	})
	stop := start(t, Fleet{Client: client, Nodes: 1, Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler)})
	if o := <-deleted; *o.GracePeriodSeconds != 0 || *o.Preconditions.UID != pod.UID {
		t.Errorf("deleted with %+v, want no grace, and this pod only", o)
	}
	stop()
}

// Two schedulers may give away the same room. A kubelet admits one pod after the other.
func TestNoNodeIsGivenMoreThanItHas(t *testing.T) {
	client := fake.NewClientset()
	bind := func(name, node string) {
		t.Helper()
		pod := boundPod(name, node)
		pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("300m")}
		if _, err := client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		bind(fmt.Sprintf("first-%d", i), "fake-1")
	}
	stop := start(t, Fleet{Client: client, Nodes: 2, Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler), Model: Model{Allocatable: room("1", "110")}})
	count := func() map[string]int {
		pods, err := client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		n := map[string]int{}
		for _, p := range pods.Items {
			n[p.Spec.NodeName+" "+string(p.Status.Phase)+" "+p.Status.Reason]++
		}
		return n
	}
	awaitCount := func(want map[string]int) {
		t.Helper()
		await(t, fmt.Sprint(want), func() bool { return maps.Equal(count(), want) })
	}
	awaitCount(map[string]int{"fake-1 Running ": 3, "fake-1 Failed OutOfcpu": 17})
	for i := range 4 {
		bind(fmt.Sprintf("second-%d", i), "fake-2")
	}
	bind("late", "fake-1") // when it is known that the others run
	awaitCount(map[string]int{"fake-1 Running ": 3, "fake-1 Failed OutOfcpu": 18, "fake-2 Running ": 3, "fake-2 Failed OutOfcpu": 1})
	stop()
}

func room(cpu, pods string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourcePods: resource.MustParse(pods)}
}

// start runs a fleet; stop returns when it has stopped.
func start(t *testing.T, f Fleet) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
}

func boundPod(name, node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(name)},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "c", Image: "i"}}},
		Status:     corev1.PodStatus{Phase: corev1.PodPending},
	}
}

func nodeNames(ctx context.Context, t *testing.T, client *fake.Clientset) (names []string) {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes.Items {
		names = append(names, n.Name)
	}
	slices.Sort(names)
	return names
}

func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) { return cond(), nil })
	if err != nil {
		t.Fatalf("waited in vain for %s", what)
	}
}
