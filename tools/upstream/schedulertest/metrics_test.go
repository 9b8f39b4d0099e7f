package schedulertest

import (
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-base/metrics/legacyregistry"
	upstream "k8s.io/kubernetes/pkg/scheduler/metrics"

	"github.com/google/go-cmp/cmp"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/decide"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/metrics"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/queue"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/scheduler"
)

// Whoever has a dashboard of upstream's scheduler reads ours by it: what we count has
// the name, the labels and the buckets that upstream gives it.
func TestMetricsAreUpstreams(t *testing.T) {
	upstream.Register()
	upstream.PodScheduled("p", 1)
	upstream.SchedulingAlgorithmLatency.Observe(1)
	upstream.FrameworkExtensionPointDuration.WithLabelValues(upstream.Filter, "Success", "p").Observe(1)
	upstream.PodSchedulingSLIDuration.WithLabelValues("1").Observe(1)
	upstream.SchedulerQueueIncomingPods.WithLabelValues("active", "NodeAdd").Inc()
	upstream.UnschedulableReason("NodeName", "p").Inc()
	upstream.ActivePods().Inc()
	upstream.CacheSize.WithLabelValues("nodes").Set(1)
	upstream.Goroutines.WithLabelValues(upstream.Binding).Inc()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	theirs := map[string]shape{}
	for _, f := range families {
		theirs[f.GetName()] = shapeOf(f)
	}

	m := metrics.New(func() scheduler.State {
		return scheduler.State{Entered: map[queue.Entry]int{{Queue: "active", Event: "NodeAdd"}: 1}, Rejections: map[queue.Rejection]int{{Plugin: "NodeName", Profile: "p"}: 1}}
	})
	pod := &framework.Pod{Pod: &corev1.Pod{Spec: corev1.PodSpec{SchedulerName: "p"}}}
	m.Decided(&decide.Decision{Pod: pod, Spans: []decide.Span{{Point: "Filter", Took: time.Second}}}, time.Second)
	m.Attempted("p", "scheduled", &queue.Item{Attempts: 1, Added: time.Now()}, time.Second)
	m.Preempted(1)
	families, err = m.Own()
	if err != nil {
		t.Fatal(err)
	}
	if len(families) < 13 {
		t.Errorf("just %d metrics are compared", len(families))
	}
	for _, f := range families {
		if diff := cmp.Diff(theirs[f.GetName()], shapeOf(f)); diff != "" {
			t.Errorf("%s is not as upstream's (-) but (+):\n%s", f.GetName(), diff)
		}
	}
}

// A shape is what of a metric dashboards go by.
type shape struct {
	Type    string
	Labels  []string
	Buckets []float64
}

func shapeOf(f *dto.MetricFamily) shape {
	s := shape{Type: f.GetType().String()}
	for _, l := range f.Metric[0].Label {
		s.Labels = append(s.Labels, l.GetName())
	}
	for _, b := range f.Metric[0].GetHistogram().GetBucket() {
		s.Buckets = append(s.Buckets, b.GetUpperBound())
	}
	return s
}
