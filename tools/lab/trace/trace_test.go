package trace

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func pod(change ...func(*corev1.Pod)) corev1.Pod {
	p := corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodPending}}
	for _, c := range change {
		c(&p)
	}
	return p
}

func managed(manager, fields string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.ManagedFields = append(p.ManagedFields, metav1.ManagedFieldsEntry{Manager: manager, FieldsV1: metav1.NewFieldsV1(fields)})
	}
}

func bound(p *corev1.Pod) { p.Spec.NodeName = "node-1" }

func running(p *corev1.Pod) {
	p.Status.Phase = corev1.PodRunning
	p.Status.PodIP = "10.244.1.2"
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "web", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
}

func TestStory(t *testing.T) {
	kubectl, kubelet := managed("kubectl-run", "{}"), managed("kubelet", "{1}")
	got := Story([]Version{
		{10, pod(kubectl)},
		{12, pod(kubectl, bound)},
		{15, pod(kubectl, bound, running, kubelet)},
		{20, pod(kubectl, bound, running, kubelet, func(p *corev1.Pod) {
			p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &metav1.Time{}, new(int64)
		})},
	})
	want := []Step{
		{10, "kubectl-run", []string{"created without a node"}},
		{12, "kube-apiserver", []string{"bound to node-1"}},
		{15, "kubelet", []string{"phase Running", "address 10.244.1.2", "Ready=True", "container web running"}},
		{20, "kube-apiserver", []string{"to be deleted, with 0 s of grace"}},
	}
	if len(got) != len(want) {
		t.Fatalf("got %d steps, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i].Revision != want[i].Revision || got[i].Who != want[i].Who || !slices.Equal(got[i].What, want[i].What) {
			t.Errorf("step %d: got %+v, want %+v", i, got[i], want[i])
		}
	}
}

func TestWaits(t *testing.T) {
	for _, test := range []struct {
		name      string
		pod       corev1.Pod
		scheduler bool
		want      string
	}{
		{"no node, no scheduler", pod(), false, "nobody watches"},
		{"no node, not looked at", pod(), true, "has not looked"},
		{"no node fits", pod(func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Message: "0/1 nodes are available"}}
		}), true, "0/1 nodes"},
		{"gated", pod(func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "g"}} }), true, "gates"},
		{"bound", pod(bound), false, "the kubelet of node-1"},
		{"image missing", pod(bound, func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "web", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Message: "no such image"}}}}
		}), false, "web: no such image"},
		{"running", pod(bound, running), false, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Waits(test.pod, test.scheduler); !strings.Contains(got, test.want) || test.want == "" && got != "" {
				t.Errorf("got %q, want %q in it", got, test.want)
			}
		})
	}
}
