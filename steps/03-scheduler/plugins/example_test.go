package plugins_test

import (
	"fmt"
	"math/rand/v2"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/decide"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// QuietHours keeps pods away from nodes that are to be left alone.
type QuietHours struct{}

var quiet = framework.RejectForGood("node(s) had quiet hours")

func (QuietHours) Name() string { return "QuietHours" }

func (QuietHours) Filter(pod *framework.Pod, node *framework.Node) *framework.Status {
	if node.Labels["quiet"] == "true" && pod.Labels["loud"] == "true" {
		return quiet
	}
	return nil
}

// A filter of ten lines, and a profile that has just this one.
func Example() {
	snapshot := &framework.Snapshot{}
	snapshot.Update([]*framework.Node{framework.NewNode(&corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "library", Labels: map[string]string{"quiet": "true"}},
	})})
	profile := &decide.Profile{Filters: []framework.Plugin{QuietHours{}}}
	for _, loud := range []string{"false", "true"} {
		pod, err := framework.NewPod(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"loud": loud}}})
		if err != nil {
			panic(err)
		}
		d := decide.Decide(snapshot, pod, profile, decide.From{Rand: rand.New(rand.NewPCG(1, 2))})
		fmt.Printf("loud=%s: node %q, error: %v\n", loud, d.Node, d.Err)
	}
	// Output:
	// loud=false: node "library", error: <nil>
	// loud=true: node "", error: 0/1 nodes are available: 1 node(s) had quiet hours.
}
