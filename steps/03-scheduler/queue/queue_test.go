package queue

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
)

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// at is so many seconds after the beginning.
func at(seconds float64) time.Time { return begin.Add(time.Duration(seconds * float64(time.Second))) }

func pod(name string, change ...func(*corev1.Pod)) *framework.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)}}
	for _, f := range change {
		f(p)
	}
	parsed, err := framework.NewPod(p)
	if err != nil {
		panic(err)
	}
	return parsed
}

func priority(n int32) func(*corev1.Pod) { return func(p *corev1.Pod) { p.Spec.Priority = &n } }

func gate(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "g"}} }

func label(value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Labels = map[string]string{"l": value} }
}

// newQueue returns a queue of two plugins: nodes helps pods that it rejected when a
// node is added, pods when a pod is removed, or they are relabelled themselves.
func newQueue() *Queue {
	helped := map[string]framework.Action{"nodes": framework.NodeAdded, "pods": framework.PodRemoved | framework.SelfRelabelled}
	return New(Config{
		Less: func(a, b *Item) bool {
			if a.Pod.Priority != b.Pod.Priority {
				return a.Pod.Priority > b.Pod.Priority
			}
			return a.Since.Before(b.Since)
		},
		Held: func(p *framework.Pod) string {
			if len(p.Spec.SchedulingGates) > 0 {
				return "SchedulingGates"
			}
			return ""
		},
		Helps: func(item *Item, e framework.Event) bool {
			return slices.ContainsFunc(item.RejectedBy, func(name string) bool { return e.Is(helped[name]) })
		},
		InitialBackoff: time.Second, MaxBackoff: 10 * time.Second, MaxWait: 5 * time.Minute,
	})
}

var (
	nodeAdded  = framework.Event{Action: framework.NodeAdded}
	podRemoved = framework.Event{Action: framework.PodRemoved}
)

// pop expects a pod by its name, or nothing by "".
func (q *Queue) expect(t *testing.T, want string) *Item {
	t.Helper()
	item, got := q.Pop(), ""
	if item != nil {
		got = item.Pod.Name
	}
	if got != want {
		t.Fatalf("popped %q, want %q", got, want)
	}
	return item
}

func (q *Queue) wants(t *testing.T, want Count) {
	t.Helper()
	if got := q.Count(); got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
}

func TestByPriorityThenByAge(t *testing.T) {
	q := newQueue()
	q.Add(pod("young"), at(2))
	q.Add(pod("old"), at(1))
	q.Add(pod("important", priority(10)), at(3))
	for _, want := range []string{"important", "old", "young", ""} {
		q.expect(t, want)
	}
}

func TestAPodThatIsNotHelpedStays(t *testing.T) {
	q := newQueue()
	q.Add(pod("a"), at(0))
	q.Reject(q.expect(t, "a"), []string{"nodes"}, at(0))
	q.Happened(podRemoved, at(100))
	q.wants(t, Count{Unschedulable: 1})
	q.Happened(nodeAdded, at(100))
	q.wants(t, Count{Active: 1})
}

func TestBackoffDoublesUpToTheMaximum(t *testing.T) {
	q := newQueue()
	q.Add(pod("a"), at(0))
	now := begin
	for i, want := range []time.Duration{1, 2, 4, 8, 10, 10} {
		item := q.expect(t, "a")
		q.Fail(item, now) // an error: nothing shortens that
		q.expect(t, "")
		due, ok := q.Due()
		if got := due.Sub(now); !ok || got != want*time.Second {
			t.Fatalf("failure %d: backs off %v, want %ds", i+1, got, want)
		}
		q.Advance(due.Add(-time.Millisecond))
		q.wants(t, Count{Backoff: 1})
		q.Advance(due)
		now = due
	}
}

// The scheduler has nothing else to do: who is helped need not wait.
func TestAnIdleSchedulerShortensTheBackoff(t *testing.T) {
	q := newQueue()
	q.Add(pod("a"), at(0))
	q.Reject(q.expect(t, "a"), []string{"nodes"}, at(0))
	q.Happened(nodeAdded, at(0.1))
	q.wants(t, Count{Backoff: 1})
	q.Add(pod("b"), at(0.1))
	q.expect(t, "b")
	q.expect(t, "a")
}

func TestAnEventWhileAPodIsDecidedAbout(t *testing.T) {
	for _, c := range []struct {
		name   string
		event  framework.Event
		before bool // it was popped
		want   Count
	}{
		{"helps", nodeAdded, false, Count{Backoff: 1}},
		{"helps others", podRemoved, false, Count{Unschedulable: 1}},
		{"came before", nodeAdded, true, Count{Unschedulable: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := newQueue()
			q.Add(pod("first"), at(0))
			q.Add(pod("a"), at(1))
			first := q.expect(t, "first") // so that events are kept
			if c.before {
				q.Happened(c.event, at(1))
			}
			item := q.expect(t, "a")
			if !c.before {
				q.Happened(c.event, at(1))
			}
			q.Decided(first)
			q.Reject(item, []string{"nodes"}, at(2))
			q.wants(t, c.want)
			if len(q.happened) != 0 {
				t.Errorf("%d events are kept for nobody", len(q.happened))
			}
		})
	}
}

// There may always be somebody in flight, and nobody's events are kept for ever.
func TestEventsAreKeptForThoseInFlightOnly(t *testing.T) {
	q := newQueue()
	for i := range 3 {
		q.Add(pod(fmt.Sprint(i)), at(float64(i)))
	}
	earlier, now := q.Pop(), at(3)
	for range 100 {
		q.Happened(podRemoved, now)
		later := q.Pop()
		q.Happened(podRemoved, now)
		q.Reject(earlier, []string{"nodes"}, now)
		if len(q.happened) != 1 {
			t.Fatalf("%d events are kept for %s, want the one since it was popped", len(q.happened), later.Pod.Name)
		}
		now = now.Add(time.Minute)
		q.Happened(nodeAdded, now) // for the next round
		earlier = later
	}
	q.Reject(earlier, []string{"nodes"}, now)
	if earlier.place == unschedulable {
		t.Error("the event since it was popped is lost")
	}
}

func TestAPodThatChangesWhileItIsDecidedAbout(t *testing.T) {
	q := newQueue()
	q.Add(pod("a", label("old")), at(0))
	item := q.expect(t, "a")
	q.Update(pod("a", label("new")), at(0))
	if got := item.Pod.Labels["l"]; got != "old" {
		t.Errorf("the pod changed under the hands of whoever decides: label %q", got)
	}
	q.Reject(item, []string{"pods"}, at(0))
	q.wants(t, Count{Backoff: 1})
	if got := q.expect(t, "a").Pod.Labels["l"]; got != "new" {
		t.Errorf("got label %q, want that of the update", got)
	}
}

func TestAPodThatGoesWhileItIsDecidedAbout(t *testing.T) {
	for _, c := range []struct {
		name string
		back func(*Queue, *Item)
	}{
		{"rejected", func(q *Queue, i *Item) {
			if q.Reject(i, []string{"nodes"}, at(1)) {
				t.Error("a pod that is gone waits")
			}
		}},
		{"failed", func(q *Queue, i *Item) {
			if q.Fail(i, at(1)) {
				t.Error("a pod that is gone waits")
			}
		}},
		{"bound", func(q *Queue, i *Item) { q.Decided(i); q.Done(i) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := newQueue()
			q.Add(pod("a"), at(0))
			item := q.expect(t, "a")
			q.Delete("a")
			c.back(q, item)
			q.Advance(at(1000))
			q.wants(t, Count{})
			q.Add(pod("a"), at(1000)) // another of its name
			q.expect(t, "a")
		})
	}
}

func TestAnUpdateCanHelpThePodItself(t *testing.T) {
	q := newQueue()
	q.Add(pod("a"), at(0))
	q.Reject(q.expect(t, "a"), []string{"pods"}, at(0))
	q.Update(pod("a"), at(20))
	q.wants(t, Count{Unschedulable: 1})
	q.Update(pod("a", label("new")), at(20))
	q.wants(t, Count{Active: 1})
}

func TestGatedPodsWait(t *testing.T) {
	q := newQueue()
	q.Add(pod("a", gate), at(0))
	q.Happened(nodeAdded, at(1))
	q.Advance(at(10000))
	q.wants(t, Count{Gated: 1})
	q.Update(pod("a", gate, label("x")), at(2))
	q.wants(t, Count{Gated: 1})
	q.Update(pod("a"), at(3))
	if item := q.expect(t, "a"); item.Added != at(3) {
		t.Errorf("it has been there since %v: the scheduler is not to blame for the time at the gate", item.Added)
	}
}

func TestNobodyIsForgotten(t *testing.T) {
	q := newQueue()
	q.Add(pod("a"), at(0))
	q.Reject(q.expect(t, "a"), []string{"nodes"}, at(0))
	q.Advance(at(299))
	q.wants(t, Count{Unschedulable: 1})
	if next := q.Advance(at(299)); next.After(at(300)) {
		t.Errorf("looks again at %v, want after five minutes", next)
	}
	q.Advance(at(300))
	q.wants(t, Count{Active: 1})
}

// Whatever happens in whatever order: no pod is lost or doubled, nobody waits longer
// than he may, and no event is missed that helps.
func TestRandomHistories(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { history(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func history(t *testing.T, random *rand.Rand) {
	q, now := newQueue(), begin
	here, helped := map[types.UID]bool{}, map[types.UID]bool{} // pods that exist; of those in flight, who was helped
	var flying []*Item
	take := func() *Item {
		i := random.IntN(len(flying))
		item := flying[i]
		flying = slices.Delete(flying, i, i+1)
		return item
	}
	for range 400 {
		now = now.Add(time.Duration(random.IntN(3000)) * time.Millisecond)
		name := fmt.Sprint("p", random.IntN(12))
		switch random.IntN(9) {
		case 0, 1:
			q.Update(pod(name, priority(random.Int32N(3))), now)
			here[types.UID(name)] = true
		case 2:
			q.Delete(types.UID(name))
			delete(here, types.UID(name))
		case 3, 4:
			if item := q.Pop(); item != nil {
				if !here[item.Pod.UID] {
					t.Fatalf("%s was popped, which is gone", item.Pod.Name)
				}
				flying = append(flying, item)
				delete(helped, item.Pod.UID)
			}
		case 5:
			q.Happened(nodeAdded, now)
			for _, item := range flying {
				helped[item.Pod.UID] = true
			}
		case 6:
			if len(flying) > 0 {
				item := take()
				q.Reject(item, []string{"nodes"}, now)
				if helped[item.Pod.UID] && here[item.Pod.UID] && item.place == unschedulable {
					t.Fatalf("%s misses an event that came while it was decided about", item.Pod.Name)
				}
			}
		case 7:
			if len(flying) > 0 {
				q.Fail(take(), now)
			}
		case 8:
			if len(flying) > 0 {
				item := take()
				q.Decided(item)
				q.Done(item)
				delete(here, item.Pod.UID)
			}
		}
		q.Advance(now)
		check(t, q, here, len(flying), now)
	}
}

func check(t *testing.T, q *Queue, here map[types.UID]bool, flying int, now time.Time) {
	t.Helper()
	c := q.Count()
	if got := c.Active + c.Backoff + c.Unschedulable + c.Gated + flying; got != len(q.items) {
		t.Fatalf("%d pods in places, %d known", got, len(q.items))
	}
	for uid := range here {
		if q.items[uid] == nil {
			t.Fatalf("%s is lost", uid)
		}
	}
	for _, item := range q.items {
		if item.place == unschedulable && now.Sub(item.Since) >= q.MaxWait {
			t.Fatalf("%s waits for %v", item.Pod.Name, now.Sub(item.Since))
		}
		if item.place == backingOff && item.due.Sub(item.Since) > q.MaxBackoff {
			t.Fatalf("%s backs off for %v", item.Pod.Name, item.due.Sub(item.Since))
		}
	}
}

func TestCountsWhoEntersWhereAndWhy(t *testing.T) {
	q := newQueue()
	q.Add(pod("a"), at(0))
	q.Add(pod("gated", gate), at(0))
	q.Reject(q.expect(t, "a"), []string{"nodes"}, at(0))
	q.Happened(podRemoved, at(0.1)) // does not help
	q.Happened(nodeAdded, at(0.2))  // backs off
	q.Reject(q.expect(t, "a"), []string{"pods"}, at(0.3))
	q.Update(pod("a", label("x")), at(0.4))
	q.Advance(at(60))
	q.Reject(q.expect(t, "a"), []string{"pods"}, at(60))
	q.Advance(at(600))
	q.Fail(q.expect(t, "a"), at(600))
	q.Update(pod("gated"), at(601))
	want := map[Entry]int{
		{"active", "UnscheduledPodAdd"}:                           1,
		{"unschedulable", "UnscheduledPodAdd"}:                    1,
		{"unschedulable", "ScheduleAttemptFailure"}:               3,
		{"backoff", "NodeAdd"}:                                    1,
		{"active", "PopFromBackoffQ"}:                             1,
		{"backoff", "TargetPodUpdatePodLabel"}:                    1,
		{"active", "BackoffComplete"}:                             1,
		{"active", "UnschedulableTimeout"}:                        1,
		{"backoff", "ScheduleAttemptFailure"}:                     1,
		{"active", "TargetPodUpdatePodSchedulingGatesEliminated"}: 1,
	}
	if got := q.Entered(); !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestWhoKeepsPodsWaiting(t *testing.T) {
	q := newQueue()
	for i, by := range [][]string{{"nodes"}, {"nodes", "pods"}, nil} {
		name := fmt.Sprint(i)
		q.Add(pod(name), at(0))
		q.deliver(q.expect(t, name), by)
	}
	q.Add(pod("gated", gate), at(0))
	q.Add(pod("new"), at(0))
	want := map[Rejection]int{{"nodes", ""}: 2, {"pods", ""}: 1, {"SchedulingGates", ""}: 1}
	if got := q.Rejections(); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	q.Happened(nodeAdded, at(100))
	if got := q.Rejections(); !maps.Equal(got, want) {
		t.Errorf("until it is its turn it has been rejected: got %v, want %v", got, want)
	}
	for q.Pop() != nil {
	}
	if got := q.Rejections(); len(got) != 1 {
		t.Errorf("while they are decided about nobody has rejected them: got %v", got)
	}
}

// deliver gives an item back, as the scheduler does.
func (q *Queue) deliver(item *Item, by []string) {
	if by == nil {
		q.Fail(item, at(0))
		return
	}
	q.Reject(item, by, at(0))
}
