package metrics

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/cache"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/decide"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/queue"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/scheduler"
)

// lines is what a handler answers.
func lines(h http.Handler) []string {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return strings.Split(w.Body.String(), "\n")
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("no %s", line)
		}
	}
}

func TestNamesAreUpstreams(t *testing.T) {
	m := New(func() scheduler.State {
		return scheduler.State{
			Pending:    queue.Count{Active: 3, Gated: 1},
			Entered:    map[queue.Entry]int{{Queue: "active", Event: "UnscheduledPodAdd"}: 5},
			Rejections: map[queue.Rejection]int{{Plugin: "NodeAffinity", Profile: "default-scheduler"}: 2},
			Cache:      cache.Size{Nodes: 4, Pods: 7, Assumed: 6},
			Writing:    8,
		}
	})
	pod := &framework.Pod{Pod: &corev1.Pod{Spec: corev1.PodSpec{SchedulerName: "default-scheduler"}}}
	m.Decided(&decide.Decision{Pod: pod, Spans: []decide.Span{
		{Point: "PreFilter", Took: 3 * time.Second}, {Point: "Filter", Code: framework.Error, Took: time.Second},
	}}, 4*time.Second)
	m.Ran("other", "Bind", framework.Success, time.Second)
	m.Attempted("default-scheduler", "scheduled", &queue.Item{Attempts: 20, Added: time.Now()}, time.Millisecond)
	m.Attempted("default-scheduler", "unschedulable", &queue.Item{Attempts: 1}, time.Millisecond)
	m.Preempted(2)
	expect(t, lines(m.Handler()),
		`scheduler_schedule_attempts_total{profile="default-scheduler",result="scheduled"} 1`,
		`scheduler_schedule_attempts_total{profile="default-scheduler",result="unschedulable"} 1`,
		`scheduler_scheduling_attempt_duration_seconds_count{profile="default-scheduler",result="scheduled"} 1`,
		`scheduler_scheduling_algorithm_duration_seconds_sum 4`,
		`scheduler_framework_extension_point_duration_seconds_sum{extension_point="PreFilter",profile="default-scheduler",status="Success"} 3`,
		`scheduler_framework_extension_point_duration_seconds_sum{extension_point="Filter",profile="default-scheduler",status="Error"} 1`,
		`scheduler_framework_extension_point_duration_seconds_sum{extension_point="Bind",profile="other",status="Success"} 1`,
		`scheduler_pod_scheduling_sli_duration_seconds_count{attempts="16+"} 1`,
		`scheduler_pod_scheduling_attempts_count 1`,
		`scheduler_pending_pods{queue="active"} 3`,
		`scheduler_pending_pods{queue="gated"} 1`,
		`scheduler_queue_incoming_pods_total{event="UnscheduledPodAdd",queue="active"} 5`,
		`scheduler_unschedulable_pods{plugin="NodeAffinity",profile="default-scheduler"} 2`,
		`scheduler_cache_size{type="nodes"} 4`,
		`scheduler_cache_size{type="pods"} 7`,
		`scheduler_cache_size{type="assumed_pods"} 6`,
		`scheduler_goroutines{operation="binding"} 8`,
		`scheduler_preemption_attempts_total 1`,
		`scheduler_preemption_victims_sum 2`,
	)
}

func TestResourcesOfPods(t *testing.T) {
	list := func(pairs ...string) corev1.ResourceList {
		l := corev1.ResourceList{}
		for i := 0; i < len(pairs); i += 2 {
			l[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
		}
		return l
	}
	pod := func(name string, phase corev1.PodPhase) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
			Spec: corev1.PodSpec{
				NodeName: "n", SchedulerName: "s", Priority: ptr.To(int32(-3)),
				InitContainers: []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: list("cpu", "1500m")}}},
				Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{
					Requests: list("cpu", "500m", "memory", "1Ki", "example.com/gpu", "2", "ephemeral-storage", "0"),
					Limits:   list("memory", "2Ki", "hugepages-2Mi", "2Mi"),
				}}},
			},
			Status: corev1.PodStatus{Phase: phase},
		}
	}
	got := lines(Resources(func() []*corev1.Pod {
		return []*corev1.Pod{pod("runs", corev1.PodRunning), pod("done", corev1.PodSucceeded), pod("failed", corev1.PodFailed)}
	}))
	want := []string{}
	for _, row := range []struct{ what, name, unit, amount string }{
		{"request", "cpu", "cores", "1.5"},
		{"request", "memory", "bytes", "1024"},
		{"request", "example.com/gpu", "", "2"},
		{"limit", "memory", "bytes", "2048"},
		{"limit", "hugepages-2Mi", "bytes", "2.097152e+06"},
	} {
		want = append(want, `kube_pod_resource_`+row.what+`{namespace="default",node="n",pod="runs",priority="-3",resource="`+row.name+
			`",scheduler="s",unit="`+row.unit+`"} `+row.amount)
	}
	expect(t, got, want...)
	got = slices.DeleteFunc(got, func(line string) bool { return line == "" || strings.HasPrefix(line, "#") })
	if len(got) != len(want) {
		t.Errorf("%d series, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
}

// What is asked of the API server counts itself, in the process's own registry.
func TestComponentBasesMetricsAreThere(t *testing.T) {
	m := New(func() scheduler.State { return scheduler.State{} })
	got := strings.Join(lines(m.Handler()), "\n")
	for _, name := range []string{"go_goroutines ", "process_cpu_seconds_total "} {
		if !strings.Contains(got, "\n"+name) {
			t.Error("no " + name)
		}
	}
}
