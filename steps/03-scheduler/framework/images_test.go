package framework

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A cluster whose every build has an image of its own sees thousands of names a day.
func TestImagesThatNoNodeHasAreForgotten(t *testing.T) {
	var s Snapshot
	for build := range 10 {
		s.Update([]*Node{NewNode(&corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: "one"},
			Status:     corev1.NodeStatus{Images: []corev1.ContainerImage{{Names: []string{"base", fmt.Sprintf("app:%d", build)}}}},
		})})
	}
	if len(s.imageNodes) != 2 || s.ImageNodes("base") != 1 || s.ImageNodes("app:9") != 1 {
		t.Errorf("got %v, want what the node has now", s.imageNodes)
	}
	s.Update(nil, "one")
	if len(s.imageNodes) != 0 {
		t.Errorf("without nodes: got %v", s.imageNodes)
	}
}
