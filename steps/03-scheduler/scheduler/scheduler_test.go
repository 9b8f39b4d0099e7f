package scheduler

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
)

func TestWhichErrorsAreAnswers(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	for _, c := range []struct {
		name string
		err  error
		want bool
	}{
		{"none", nil, true},
		{"not found", apierrors.NewNotFound(pods, "a"), true},
		{"conflict", apierrors.NewConflict(pods, "a", errors.New("bound")), true},
		{"forbidden", apierrors.NewForbidden(pods, "a", errors.New("you")), true},
		{"too many requests", apierrors.NewTooManyRequests("later", 1), false},
		{"timeout of the server", apierrors.NewTimeoutError("slow", 1), false},
		{"error of the server", apierrors.NewInternalError(errors.New("oh")), false},
		{"unavailable", apierrors.NewServiceUnavailable("restarting"), false},
		{"request timeout", &apierrors.StatusError{ErrStatus: metav1.Status{Code: http.StatusRequestTimeout}}, false},
		{"our timeout", context.DeadlineExceeded, false},
		{"connection", errors.New("connection reset"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := isAnswer(c.err); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestConditionsAreWrittenWhenTheyChange(t *testing.T) {
	long := metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	has := corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "m", LastTransitionTime: long}
	pod := &corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{has}}}
	for _, c := range []struct {
		name          string
		change        func(*corev1.PodCondition)
		written, when bool // and with the time before
	}{
		{"the same", func(*corev1.PodCondition) {}, false, false},
		{"another message", func(c *corev1.PodCondition) { c.Message = "n" }, true, true},
		{"another reason", func(c *corev1.PodCondition) { c.Reason = "SchedulerError" }, true, true},
		{"another status", func(c *corev1.PodCondition) { c.Status = corev1.ConditionTrue }, true, false},
		{"another type", func(c *corev1.PodCondition) { c.Type = corev1.DisruptionTarget }, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			want, patch := has, statusPatch{}
			c.change(&want)
			patch.set(pod, want)
			if _, written := patch["conditions"]; written != c.written {
				t.Fatalf("written: %v, want %v", written, c.written)
			}
			if !c.written {
				return
			}
			got := patch["conditions"].([]corev1.PodCondition)[0]
			if got.LastTransitionTime.Equal(&long) != c.when {
				t.Errorf("got the time %v", got.LastTransitionTime)
			}
		})
	}
}

func TestEventsAreNotTooLong(t *testing.T) {
	if got := shortened("short"); got != "short" {
		t.Errorf("got %q", got)
	}
	if got := shortened(strings.Repeat("x", 2000)); len(got) != 1024 || !strings.HasSuffix(got, "x ...") {
		t.Errorf("got %d characters: …%s", len(got), got[len(got)-10:])
	}
}

// What was parsed is used again only as long as it is still true.
func TestWhatIsParsedAgain(t *testing.T) {
	s := &Scheduler{}
	old := func() *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Generation: 1, Labels: map[string]string{"a": "b"}}}
	}
	for _, c := range []struct {
		name   string
		change func(*corev1.Pod)
		again  bool
	}{
		{"a new status", func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning }, false},
		{"labels", func(p *corev1.Pod) { p.Labels = nil }, true},
		{"a new spec", func(p *corev1.Pod) { p.Generation = 2 }, true},
		{"no generation", func(p *corev1.Pod) { p.Generation = 0 }, true},
		{"the end", func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{} }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, err := framework.NewPod(old())
			if err != nil {
				t.Fatal(err)
			}
			before.Priority = 7 // nothing that an object says
			now := old()
			c.change(now)
			got := s.newer(before, now)
			if again := got.Priority != 7; again != c.again {
				t.Errorf("parsed again: %v, want %v", again, c.again)
			}
			if got.Pod != now {
				t.Error("it is not the newer object")
			}
		})
	}
}
