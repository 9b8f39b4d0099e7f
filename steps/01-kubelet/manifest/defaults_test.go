package manifest

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// What a pod becomes was written by the API server's own defaulting.
func TestSetDefaultsSetsWhatKubernetesSets(t *testing.T) {
	pod, want := readPod(t, "testdata/defaults.in.json"), readPod(t, "testdata/defaults.want.json")
	SetDefaults(pod)
	if !equality.Semantic.DeepEqual(pod, want) {
		t.Errorf("defaults differ (-want +got):\n%s", cmp.Diff(asMap(t, want), asMap(t, pod)))
	}
	again := pod.DeepCopy()
	SetDefaults(again)
	if !equality.Semantic.DeepEqual(pod, again) {
		t.Error("setting defaults twice is not the same as once")
	}
}

func readPod(t *testing.T, file string) *corev1.Pod {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{}
	if err := json.Unmarshal(data, pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

func asMap(t *testing.T, pod *corev1.Pod) (m map[string]any) {
	t.Helper()
	data, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTheLatestImageIsPulledAlways(t *testing.T) {
	for image, want := range map[string]corev1.PullPolicy{
		"web": corev1.PullAlways, "web:latest": corev1.PullAlways, "registry:5000/web": corev1.PullAlways,
		"web:v1": corev1.PullIfNotPresent, "registry:5000/web:v1": corev1.PullIfNotPresent,
		"web@sha256:" + strings.Repeat("a", 64):        corev1.PullIfNotPresent,
		"web:latest@sha256:" + strings.Repeat("a", 64): corev1.PullAlways,
		"": corev1.PullIfNotPresent, "Web:latest": corev1.PullIfNotPresent, // no names
	} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: image}}}}
		SetDefaults(pod)
		if got := pod.Spec.Containers[0].ImagePullPolicy; got != want {
			t.Errorf("%q: got %s, want %s", image, got, want)
		}
	}
}
