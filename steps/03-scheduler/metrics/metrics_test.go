package metrics

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/queue"
)

func TestNamesAreUpstreams(t *testing.T) {
	m := New(func() queue.Count { return queue.Count{Active: 3, Gated: 1} })
	m.Attempted("default-scheduler", "scheduled", &queue.Item{Attempts: 20, Added: time.Now()}, time.Millisecond)
	m.Attempted("default-scheduler", "unschedulable", &queue.Item{Attempts: 1}, time.Millisecond)
	m.Preempted(2)
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{
		`scheduler_schedule_attempts_total{profile="default-scheduler",result="scheduled"} 1`,
		`scheduler_schedule_attempts_total{profile="default-scheduler",result="unschedulable"} 1`,
		`scheduler_scheduling_attempt_duration_seconds_count{profile="default-scheduler",result="scheduled"} 1`,
		`scheduler_pod_scheduling_sli_duration_seconds_count{attempts="16+"} 1`,
		`scheduler_pod_scheduling_attempts_count 1`,
		`scheduler_pending_pods{queue="active"} 3`,
		`scheduler_pending_pods{queue="gated"} 1`,
		`scheduler_preemption_attempts_total 1`,
		`scheduler_preemption_victims_sum 2`,
	} {
		if !strings.Contains(w.Body.String(), want+"\n") {
			t.Errorf("no %s", want)
		}
	}
}
