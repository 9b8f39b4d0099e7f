package apistatus

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
)

func condition(kind string, status corev1.ConditionStatus) corev1.PodCondition {
	return corev1.PodCondition{Type: corev1.PodConditionType(kind), Status: status}
}

func status(phase corev1.PodPhase, conditions ...corev1.PodCondition) corev1.PodStatus {
	return corev1.PodStatus{Phase: phase, Conditions: conditions}
}

// line is what matters of a status here.
func line(s corev1.PodStatus) string {
	words := []string{string(s.Phase)}
	if s.Reason != "" {
		words = append(words, "("+s.Reason+")")
	}
	for _, c := range s.Conditions {
		words = append(words, string(c.Type)+"="+string(c.Status))
	}
	return strings.Join(words, " ")
}

func TestMerge(t *testing.T) {
	runs := []corev1.ContainerStatus{{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	evicted := status(corev1.PodFailed, condition("Ready", "False"))
	evicted.Reason = "Evicted"
	evicting := *evicted.DeepCopy()
	evicting.ContainerStatuses = runs
	for _, tt := range []struct {
		name       string
		live, ours corev1.PodStatus
		want       string
		mirror     bool
	}{
		{"news", status("Pending"), status("Running", condition("Ready", "True")), "Running Ready=True", false},
		{"a condition of another stays", status("Pending", condition("example.com/gate", "True"), condition("Ready", "False")),
			status("Running", condition("Ready", "True")), "Running example.com/gate=True Ready=True", false},
		{"a condition of another is not ours to report", status("Pending"),
			status("Running", condition("example.com/gate", "True"), condition("Ready", "True")), "Running Ready=True", false},
		{"the end stays", evicted, status("Running", condition("Ready", "False")), "Failed (Evicted) Ready=False", false},
		{"the end is not ready", evicted, status("Running", condition("Ready", "True"), condition("ContainersReady", "True")),
			"Failed (Evicted) Ready=False ContainersReady=False", false},
		{"the end", status("Running", condition("Ready", "True")), evicted, "Failed (Evicted) Ready=False", false},
		{"no end while a container runs", status("Running", condition("Ready", "True")), evicting, "Running Ready=False", false},
		{"a static pod is started again after its end", evicted, status("Running", condition("Ready", "True")), "Running Ready=True", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := line(Merge(tt.live, tt.ours, tt.mirror)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestMergeLeavesWhatOthersWrite(t *testing.T) {
	live := corev1.PodStatus{NominatedNodeName: "node-2", ResourceClaimStatuses: []corev1.PodResourceClaimStatus{{Name: "gpu"}}}
	got := Merge(live, corev1.PodStatus{Phase: corev1.PodRunning}, false)
	if got.NominatedNodeName != "node-2" || len(got.ResourceClaimStatuses) != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestPatch(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 999, time.UTC)
	ready := condition("Ready", "True")
	ready.LastTransitionTime = metav1.NewTime(now.Truncate(time.Second))
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "1234"}, Status: status("Running", ready)}

	same := pod.Status.DeepCopy()
	same.Conditions[0].LastTransitionTime = metav1.NewTime(now)
	if patch, err := patchFor(pod, *same); patch != nil || err != nil {
		t.Errorf("got %s, %v for a status that differs by nanoseconds", patch, err)
	}
	changed := pod.Status.DeepCopy()
	changed.PodIP = "10.0.0.1"
	patch, err := patchFor(pod, *changed)
	if want := `{"metadata":{"uid":"1234"},"status":{"podIP":"10.0.0.1"}}`; string(patch) != want || err != nil {
		t.Errorf("got %s, %v, want %s", patch, err, want)
	}
}

func TestShows(t *testing.T) {
	static := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "hash", Annotations: map[string]string{podsource.Annotation: "file"}}}
	normal := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "uid-1"}}
	for _, tt := range []struct {
		name        string
		object, pod *corev1.Pod
		want        bool
	}{
		{"itself", normal, normal, true},
		{"another pod of that name", &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "uid-2"}}, normal, false},
		{"the mirror", &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "uid-3", Annotations: map[string]string{corev1.MirrorPodAnnotationKey: "hash"}}}, static, true},
		{"the mirror of an earlier manifest", &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "uid-3", Annotations: map[string]string{corev1.MirrorPodAnnotationKey: "old"}}}, static, false},
	} {
		if got := shows(tt.object, tt.pod); got != tt.want {
			t.Errorf("%s: got %t, want %t", tt.name, got, tt.want)
		}
	}
}
