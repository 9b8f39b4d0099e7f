package scheduler

import (
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/cache"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/plugins"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/queue"
)

// newScheduler is told of things, and schedules nothing.
func newScheduler() *Scheduler {
	return New(Config{
		Profiles:       map[string]*Profile{corev1.DefaultSchedulerName: {Sort: plugins.PrioritySort{}}},
		InitialBackoff: time.Second, MaxBackoff: 10 * time.Second, Writes: 1,
		Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler),
	})
}

func pod(uid types.UID, node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "db-0", UID: uid},
		Spec: corev1.PodSpec{NodeName: node, SchedulerName: corev1.DefaultSchedulerName, Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}}}}},
	}
}

// A watch that was cut off for long is followed by a list, and what was deleted and made
// again meanwhile under the same name comes as an update.
func TestAPodOfTheSameNameIsAnother(t *testing.T) {
	for _, c := range []struct {
		name     string
		old, now *corev1.Pod
		pods     int // on nodes
		active   int // waiting
	}{
		{"on a node, on another", pod("a", "one"), pod("b", "two"), 1, 0},
		{"on a node, waiting", pod("a", "one"), pod("b", ""), 0, 1},
		{"waiting, on a node", pod("a", ""), pod("b", "one"), 1, 0},
		{"waiting, waiting", pod("a", ""), pod("b", ""), 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScheduler()
			h := &handler[*corev1.Pod]{s.setPod, s.removePod}
			h.OnAdd(c.old, false)
			h.OnUpdate(c.old, c.now)
			if got, want := s.State().Cache, (cache.Size{Nodes: c.pods, Pods: c.pods}); got != want {
				t.Errorf("on nodes: got %+v, want %+v", got, want)
			}
			if got, want := s.Pending(), (queue.Count{Active: c.active}); got != want {
				t.Errorf("waiting: got %+v, want %+v", got, want)
			}
		})
	}
}
