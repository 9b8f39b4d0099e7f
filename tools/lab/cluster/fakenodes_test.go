package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestPodsAreLeftBehindOnFakeNodesThatAreGone(t *testing.T) {
	var pods []corev1.Pod
	for _, node := range []string{"node-1", "fake-1", "fake-2", "fake-3", "fake-10", "fake-ir", "unfake-9"} {
		pods = append(pods, corev1.Pod{Spec: corev1.PodSpec{NodeName: node}})
	}
	for nodes, want := range map[int]int{0: 4, 2: 2, 3: 1, 10: 0} {
		if got := leftBehind(pods, nodes); got != want {
			t.Errorf("of %d nodes: got %d pods, want %d", nodes, got, want)
		}
	}
}
