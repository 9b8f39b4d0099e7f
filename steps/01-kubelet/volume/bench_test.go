package volume_test

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/volumetest"
)

// BenchmarkSync is what a pod's volumes cost at each sync, when nothing has changed.
func BenchmarkSync(b *testing.B) {
	volumetest.Root(b)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", UID: "1234"}}
	if err := yaml.UnmarshalStrict([]byte(four), &pod.Spec); err != nil {
		b.Fatal(err)
	}
	m := manager(b.TempDir())
	defer m.Unmount(context.Background(), pod.UID)
	for b.Loop() {
		if _, err := m.Mount(context.Background(), pod); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSubPath is one subPath, made again at each start of its container.
func BenchmarkSubPath(b *testing.B) {
	volumetest.Root(b)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "1234"}}
	if err := yaml.UnmarshalStrict([]byte(four), &pod.Spec); err != nil {
		b.Fatal(err)
	}
	m := manager(b.TempDir())
	defer m.Unmount(context.Background(), pod.UID)
	mounted, err := m.Mount(context.Background(), pod)
	if err != nil {
		b.Fatal(err)
	}
	bind := m.SubPaths(pod, "main", mounted)
	for b.Loop() {
		if _, err := bind(0, "disk", "a/b"); err != nil {
			b.Fatal(err)
		}
	}
}
