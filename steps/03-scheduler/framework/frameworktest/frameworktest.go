// Package frameworktest writes pods, nodes and clusters down as YAML, so that
// the tables of tests read like the manifests that they are about.
package frameworktest

import (
	"strings"
	"testing"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/decide"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// Pod parses a pod. Its name is the given one, its UID the name, its namespace
// "default" unless the YAML says otherwise.
func Pod(tb testing.TB, name, text string) *framework.Pod {
	tb.Helper()
	object := &corev1.Pod{}
	parse(tb, text, object)
	object.Name, object.UID = name, types.UID(name)
	if object.Namespace == "" {
		object.Namespace = "default"
	}
	pod, err := framework.NewPod(object)
	if err != nil {
		tb.Fatal(err)
	}
	return pod
}

// Node parses a node with pods on it. Unless the YAML says otherwise it has the
// hostname label, 4 processors, 8Gi of memory and room for 110 pods.
func Node(tb testing.TB, name, text string, pods ...*framework.Pod) *framework.Node {
	tb.Helper()
	object := &corev1.Node{}
	parse(tb, text, object)
	object.Name = name
	object.Labels = labels.Merge(labels.Set{corev1.LabelHostname: name}, object.Labels)
	allocatable := corev1.ResourceList{}
	for name, amount := range map[corev1.ResourceName]string{"cpu": "4", "memory": "8Gi", "pods": "110"} {
		allocatable[name] = resource.MustParse(amount)
	}
	for name, amount := range object.Status.Allocatable {
		allocatable[name] = amount
	}
	object.Status.Allocatable = allocatable
	return framework.NewNode(object, pods...)
}

// Snapshot has nodes, and a namespace "default" without labels.
func Snapshot(nodes ...*framework.Node) *framework.Snapshot {
	s := &framework.Snapshot{Namespaces: map[string]labels.Set{"default": {}}}
	s.Update(nodes)
	return s
}

// Verdict asks a plugin about one node of the snapshot: "" is a yes.
func Verdict(tb testing.TB, plugin framework.Plugin, snapshot *framework.Snapshot, pod *framework.Pod, node string) string {
	tb.Helper()
	var status *framework.Status
	switch p := plugin.(type) {
	case framework.PreFilterPlugin:
		result, early := p.PreFilter(snapshot, pod)
		if status = early; status.OK() && result.Filter != nil {
			status = result.Filter.Filter(snapshot.Node(node))
		}
	case framework.FilterPlugin:
		status = p.Filter(pod, snapshot.Node(node))
	default:
		tb.Fatalf("%s is no filter", plugin.Name())
	}
	if status.OK() {
		return ""
	}
	return status.Code.String() + ": " + status.Message()
}

// Scores asks a plugin to score all nodes of the snapshot, and returns what is
// left after normalization by the nodes' names.
func Scores(tb testing.TB, plugin framework.Plugin, snapshot *framework.Snapshot, pod *framework.Pod) map[string]int64 {
	tb.Helper()
	profile := &decide.Profile{Scores: []decide.Weighted{{Plugin: plugin, Weight: 1}}, PercentageOfNodesToScore: 100}
	d := decide.Decide(snapshot, pod, profile, decide.From{Rand: Rand()})
	if d.Err != nil {
		tb.Fatal(d.Err)
	}
	scores := map[string]int64{}
	for i, node := range d.Feasible {
		scores[node.Name] = d.Totals[i]
	}
	return scores
}

func parse(tb testing.TB, text string, into any) {
	tb.Helper()
	if strings.TrimSpace(text) == "" {
		return
	}
	if err := yaml.UnmarshalStrict([]byte(text), into); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
}
