package kubeletagree

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func tellTexts(seed uint64) (texts []string) {
	s := newStory(rand.New(rand.NewPCG(seed, 0)), fmt.Sprint("s", seed))
	for n := range 6 {
		texts = append(texts, s.next(n).text)
	}
	return texts
}

// What a seed tells is told again by it, or a difference could not be looked for.
func TestASeedIsAStory(t *testing.T) {
	for seed := range uint64(200) {
		if a, b := tellTexts(seed), tellTexts(seed); fmt.Sprint(a) != fmt.Sprint(b) {
			t.Fatalf("seed %d: once\n%s\nthen\n%s", seed, strings.Join(a, "\n"), strings.Join(b, "\n"))
		}
	}
}

// Two kubelets that agree differ in nothing that is shown, and what counts is shown.
func TestLooksOfTwoSides(t *testing.T) {
	pod := func(namespace, uid, ip, container string) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "s1", Namespace: namespace},
			Status: corev1.PodStatus{
				Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: ip}},
				ContainerStatuses: []corev1.ContainerStatus{{Name: "c0", ContainerID: "groundup://" + container, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
					Reason: "CrashLoopBackOff", Message: "back-off 10s restarting failed container=c0 pod=s1_" + namespace + "(" + uid + ") at " + ip,
				}}}},
			},
		}
	}
	ours := (&side{namespace: "ours", node: "node-2"}).fate(pod("ours", "20eeb35e-d75a-4769-bdcd-30783785354d", "10.244.2.7", strings.Repeat("a", 64)))
	other := pod("theirs", "cf62866e-ea56-4dc6-aca9-84867dcdad38", "10.244.3.9", strings.Repeat("b", 64))
	theirs := &side{namespace: "theirs", node: "node-3"}
	if lines := apart(ours, theirs.fate(other)); len(lines) > 0 {
		t.Errorf("these are the same:\n%s", strings.Join(lines, "\n"))
	}
	other.Status.ContainerStatuses[0].RestartCount = 1
	if lines := apart(ours, theirs.fate(other)); len(lines) != 1 || !strings.Contains(lines[0], "restarts 1") {
		t.Errorf("got %q, want the number of restarts", lines)
	}
}
