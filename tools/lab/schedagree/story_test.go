package schedagree

import (
	"math/rand/v2"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func tellAll(seed uint64, steps int) (texts []string) {
	s := &story{rand: rand.New(rand.NewPCG(seed, 0)), name: "s"}
	for range steps {
		texts = append(texts, s.next().text)
	}
	return texts
}

// A story is the same each time, and has something of everything.
func TestStories(t *testing.T) {
	all := strings.Join(tellAll(1, 500), "\n")
	if all != strings.Join(tellAll(1, 500), "\n") {
		t.Error("one seed makes two stories")
	}
	for _, want := range []string{"add node", "remove node", "change node", "add pod", "delete pod", "end pod", "change pod", "restart the scheduler", "let 0 web go",
		"Never,", "PreemptLowerPriority,", "schedulingGates", "hostPort", "podAffinity", "podAntiAffinity", "topologySpreadConstraints", "minDomains", "tolerations", "NotIn", `"taints"`} {
		if !strings.Contains(all, want) {
			t.Errorf("no step has %q", want)
		}
	}
}

func TestFates(t *testing.T) {
	waits := corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/1 nodes are available"}
	for name, tt := range map[string]struct {
		change func(*corev1.Pod)
		want   string
	}{
		"new":         {func(*corev1.Pod) {}, unknown},
		"another's":   {func(p *corev1.Pod) { p.Spec.SchedulerName = "another" }, ""},
		"bound":       {func(p *corev1.Pod) { p.Spec.NodeName = "n1" }, "on n1"},
		"waits":       {func(p *corev1.Pod) { p.Status.Conditions = []corev1.PodCondition{waits} }, "Unschedulable: 0/1 nodes are available"},
		"ends unseen": {func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{} }, "is to end"},
		"nominated": {func(p *corev1.Pod) {
			p.Status.Conditions, p.Status.NominatedNodeName = []corev1.PodCondition{waits}, "n2"
		}, "nominated to n2"},
	} {
		p := &corev1.Pod{Spec: corev1.PodSpec{SchedulerName: corev1.DefaultSchedulerName}}
		tt.change(p)
		if got := fate(p); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

func TestWhatIsApart(t *testing.T) {
	ours, theirs := map[string]string{"a": "on n1", "b": "on n1"}, map[string]string{"a": "on n1", "b": "on n2", "c": unknown}
	if lines := apart(ours, theirs); len(lines) != 2 || !strings.Contains(lines[0], "on n2") || !strings.HasPrefix(lines[1], "c") {
		t.Errorf("got %q", lines)
	}
	if unmeant("p\n    ours   on n3\n    theirs nominated to n3") || !unmeant("p\n    ours   on n2\n    theirs nominated to n3") {
		t.Error("want what upstream does not look at yet to be meant, and nothing else")
	}
	if unmeant("p\n    ours   on n3\n    theirs Unschedulable: 0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules.") || !unmeant("p\n    ours   a anti-affinity rules\n    theirs on n1") {
		t.Error("want what upstream leaves to others' anti-affinity to be meant, and nothing else")
	}
	if lines := apart(ours, ours); len(lines) > 0 {
		t.Errorf("got %q of the same", lines)
	}
}

func TestAClusterThatDoesNotStart(t *testing.T) {
	if _, err := startCluster(t.Context(), "/no/server", "/no/scheduler", t.TempDir()); err == nil {
		t.Error("want an error without a server")
	}
}
