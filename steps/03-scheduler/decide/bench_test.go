package decide_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/decide"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/plugins"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// BenchmarkDecide measures one decision in a cluster with ten pods on each node,
// as a scheduler makes it: with the update of the snapshot for the pod that was
// placed last, which is taken away again. The pods are all of one kind, so that what
// the last decisions have found out holds for the next; but for "unlike", where
// nothing is known of the pods that came before.
func BenchmarkDecide(b *testing.B) {
	for _, kind := range []string{"unlike", "plain", "spread", "anti-affinity"} {
		for _, nodes := range []int{10, 100, 1000, 5000} {
			b.Run(fmt.Sprintf("%s/nodes=%d", kind, nodes), func(b *testing.B) {
				benchmark(b, kind, nodes)
			})
		}
	}
}

func benchmark(b *testing.B, kind string, nodes int) {
	from := decide.From{Rand: rand.New(rand.NewPCG(1, 1)), Known: &decide.Known{}}
	if kind == "unlike" {
		kind, from.Known = "plain", nil
	}
	snapshot, profile := cluster(nodes, kind), defaultProfile(b)
	pod := newPod("new", kind)
	b.ReportAllocs()
	for b.Loop() {
		d := decide.Decide(snapshot, pod, profile, from)
		if d.Err != nil {
			b.Fatal(d.Err)
		}
		from.Start += d.Looked
		node := snapshot.Node(d.Node).Clone()
		node.AddPod(pod)
		snapshot.Update([]*framework.Node{node})
		node = node.Clone()
		if err := node.RemovePod(pod); err != nil {
			b.Fatal(err)
		}
		snapshot.Update([]*framework.Node{node})
	}
}

// cluster has nodes in ten zones with ten pods each. Half of the pods are of
// the kind that is to be placed, where that leaves room for more.
func cluster(nodes int, kind string) *framework.Snapshot {
	s := &framework.Snapshot{}
	var all []*framework.Node
	for i := range nodes {
		name := fmt.Sprint("node-", i)
		node := framework.NewNode(&corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
				corev1.LabelHostname: name, corev1.LabelTopologyZone: fmt.Sprint("zone-", i%10),
				corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
			}},
			Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("16"), corev1.ResourceMemory: resource.MustParse("64Gi"), corev1.ResourcePods: resource.MustParse("110"),
			}},
		})
		for k := range 10 {
			other := "plain"
			if kind == "spread" && k < 5 || kind == "anti-affinity" && k == 0 && i%2 == 0 {
				other = kind
			}
			node.AddPod(newPod(fmt.Sprintf("pod-%d-%d", i, k), other))
		}
		all = append(all, node)
	}
	s.Update(all)
	return s
}

func newPod(name, kind string) *framework.Pod {
	requests := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi")}
	object := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(name), Labels: map[string]string{"app": kind}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Image: "app:v1", Resources: corev1.ResourceRequirements{Requests: requests}}}},
	}
	selector := &metav1.LabelSelector{MatchLabels: object.Labels}
	switch kind {
	case "spread":
		object.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 5, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: selector}}
	case "anti-affinity":
		object.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{TopologyKey: corev1.LabelHostname, LabelSelector: selector}}}}
	}
	pod, err := framework.NewPod(object)
	if err != nil {
		panic(err)
	}
	return pod
}

// defaultProfile has the default plugins with default arguments.
func defaultProfile(tb testing.TB) *decide.Profile {
	tb.Helper()
	profile := &decide.Profile{Parallelism: 16}
	for _, d := range plugins.Defaults {
		plugin, err := plugins.New(d.Name, nil, nil)
		if err != nil {
			tb.Fatal(err)
		}
		switch plugin.(type) {
		case framework.FilterPlugin, framework.PreFilterPlugin:
			profile.Filters = append(profile.Filters, plugin)
		}
		switch plugin.(type) {
		case framework.ScorePlugin, framework.PreScorePlugin:
			profile.Scores = append(profile.Scores, decide.Weighted{Plugin: plugin, Weight: d.Weight})
		}
	}
	return profile
}
