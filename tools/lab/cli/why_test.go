package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/decide"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestPrintWhy(t *testing.T) {
	for _, tt := range []struct {
		name string
		e    decide.Explanation
		rows int
		want string
	}{
		{"one node is best", decide.Explanation{
			Pod: "default/web", Node: "b", Total: 3, Looked: 3, Filters: []string{"NodeName", "TaintToleration"},
			Scores: []decide.Heading{{Plugin: "NodeResourcesFit", Weight: 1}, {Plugin: "TaintToleration", Weight: 3}},
			Nodes: []decide.Row{
				{Node: "b", Scores: []int64{50, 100}, Total: 350},
				{Node: "a", Scores: []int64{40, 100}, Total: 340},
				{Node: "c", RejectedBy: "TaintToleration", Code: "Unschedulable", Reasons: []string{"node(s) had untolerated taint(s)"}},
			},
		}, 2, `default/web → b
3 of 3 nodes were looked at, by NodeName, TaintToleration

NODE  FILTERS  NodeResourcesFit  TaintToleration ×3  TOTAL
b     ✓        50                100                 350
a     ✓        40                100                 340
… and 1 more (--nodes 3)
`},
		{"there is none", decide.Explanation{
			Pod: "default/big", Message: "0/1 nodes are available: 1 Insufficient cpu.", Total: 1, Looked: 1, Filters: []string{"NodeResourcesFit"},
			Nodes: []decide.Row{{Node: "a", RejectedBy: "NodeResourcesFit", Code: "Unschedulable", Reasons: []string{"Insufficient cpu"}}},
		}, 20, `default/big → no node: 0/1 nodes are available: 1 Insufficient cpu.
1 of 1 nodes were looked at, by NodeResourcesFit

NODE  FILTERS
a     ✗ NodeResourcesFit: Insufficient cpu
`},
	} {
		var out strings.Builder
		if err := printWhy(&out, tt.e, tt.rows); err != nil || out.String() != tt.want {
			t.Errorf("%s: got %v and\n%s\nwant\n%s", tt.name, err, out.String(), tt.want)
		}
	}
}

func TestADecisionIsOfThePodThatHasTheNameNow(t *testing.T) {
	pod := func(uid types.UID, node string) []corev1.Pod {
		return []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "web", UID: uid}, Spec: corev1.PodSpec{NodeName: node}}}
	}
	for name, tt := range map[string]struct {
		node       string // that was decided on
		now        []corev1.Pod
		note, fail string
	}{
		"bound":                      {node: "a", now: pod("1", "a")},
		"fits nowhere":               {now: pod("1", "")},
		"gone":                       {node: "a", note: "There is no pod default/web any more"},
		"made again":                 {node: "a", now: pod("2", ""), fail: "about an earlier pod of that name"},
		"bound elsewhere":            {node: "a", now: pod("1", "b"), note: "Pod default/web is on b: somebody else has bound it."},
		"bound although it fits not": {now: pod("1", "b"), note: "Pod default/web is on b: somebody else has bound it."},
		"not bound":                  {node: "a", now: pod("1", ""), note: "Pod default/web is not on its node"},
	} {
		note, err := stillTrue(decide.Explanation{Pod: "default/web", UID: "1", Node: tt.node}, tt.now)
		if !strings.HasPrefix(note, tt.note) || (tt.note == "") != (note == "") {
			t.Errorf("%s: noted %q", name, note)
		}
		if (err != nil) != (tt.fail != "") || err != nil && !strings.Contains(err.Error(), tt.fail) {
			t.Errorf("%s: got %v, want %q", name, err, tt.fail)
		}
	}
}

func TestWhyRefusesFewerNodesThanNone(t *testing.T) {
	t.Setenv("GROUNDUP_HOME", t.TempDir())
	cmd := whyCommand()
	cmd.SetArgs([]string{"pod/web", "--nodes=-1"})
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	if err := cmd.Execute(); err == nil || !strings.Contains(err.Error(), "--nodes") {
		t.Errorf("got %v, want --nodes named", err)
	}
}

func TestPodsThatNoSchedulerIsAskedAbout(t *testing.T) {
	static := corev1.Pod{Spec: corev1.PodSpec{NodeName: "node-1"}}
	static.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "hash"}
	gated := corev1.Pod{Spec: corev1.PodSpec{SchedulingGates: []corev1.PodSchedulingGate{{Name: "example.com/wait"}}}}
	for _, c := range []struct {
		name string
		now  []corev1.Pod
		want string
	}{
		{"none", nil, "there is no pod web in namespace default"},
		{"static", []corev1.Pod{static}, "a file on node-1"},
		{"gated", []corev1.Pod{gated}, "its scheduling gate example.com/wait holds it"},
		{"another", []corev1.Pod{{}}, ""},
	} {
		err := notForTheScheduler(c.now, "default", "web")
		if got := fmt.Sprint(err); c.want == "" && err != nil || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}
