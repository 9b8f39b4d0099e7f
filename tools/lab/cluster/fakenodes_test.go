package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

// The program that keeps the nodes is started anew, and comes to those that there are after
// a while: who asked for them goes on when they are as he wants them.
func TestFakeNodesAreAwaitedUntilAllAreAsAskedFor(t *testing.T) {
	node := func(name, zone, cpu string) corev1.Node {
		return corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelTopologyZone: zone}},
			Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse("1Gi"), corev1.ResourcePods: resource.MustParse("110")}},
		}
	}
	two := []corev1.Node{node("fake-1", "zone-1", "4"), node("fake-2", "zone-2", "4000m")}
	for _, c := range []struct {
		name  string
		nodes []corev1.Node
		zones int
		cpu   string
		want  string
	}{
		{"all are there", two, 2, "4", ""},
		{"one is missing", two[:1], 2, "4", "there are 1 fake nodes, not 2"},
		{"they have other processors", two, 2, "8", "2 of 2 fake nodes are as they were before"},
		{"one is to be in another zone", two, 1, "4", "1 of 2 fake nodes are as they were before"},
		{"there are to be no zones", two, 0, "4", "2 of 2 fake nodes are as they were before"},
	} {
		model := NodeModel{Zones: c.zones, Pods: 110, CPU: resource.MustParse(c.cpu), Memory: resource.MustParse("1024Mi")}
		if got := unlike(c.nodes, 2, model); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
