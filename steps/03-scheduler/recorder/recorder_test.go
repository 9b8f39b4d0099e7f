package recorder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// A told is what a server has been told of, and when.
type told struct {
	event *eventsv1.Event
	at    time.Time
}

// A fake is a sink in memory that takes its time.
type fake struct {
	takes time.Duration
	fail  func(try int) error // nil: never

	mu      sync.Mutex // guards the fields below
	tries   int
	created []told
	patched []told
}

func (f *fake) write(e *eventsv1.Event, into *[]told) error {
	time.Sleep(f.takes)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries++
	if f.fail != nil {
		if err := f.fail(f.tries); err != nil {
			return err
		}
	}
	*into = append(*into, told{e.DeepCopy(), time.Now()})
	return nil
}

func (f *fake) Create(_ context.Context, e *eventsv1.Event) error { return f.write(e, &f.created) }
func (f *fake) Patch(_ context.Context, e *eventsv1.Event) error  { return f.write(e, &f.patched) }

// A strict sink knows which events there are, as a server does.
type strict struct {
	*fake
	names *sync.Map
}

func (s strict) Create(ctx context.Context, e *eventsv1.Event) error {
	time.Sleep(s.takes)
	if _, exists := s.names.LoadOrStore(e.Name, true); exists {
		return apierrors.NewAlreadyExists(schema.GroupResource{Resource: "events"}, e.Name)
	}
	return s.fake.Create(ctx, e)
}

func (s strict) Patch(ctx context.Context, e *eventsv1.Event) error {
	if _, exists := s.names.Load(e.Name); !exists {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "events"}, e.Name)
	}
	return s.fake.Patch(ctx, e)
}

func pod(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns"}}
}

// record runs a recorder while f says things, and until all of them are told.
func record(t *testing.T, sink Sink, busy func() bool, f func(r *Recorder)) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{Sink: sink, Scheme: scheme.Scheme, Busy: busy, Log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := r.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		f(r)
		cancel()
		running.Wait()
	})
}

func idle() bool { return false }

func scheduled(r *Recorder, i int) {
	r.Of("default-scheduler").Eventf(pod(fmt.Sprintf("p%d", i)), nil, corev1.EventTypeNormal, "Scheduled", "Binding", "to %s", "node")
}

func failed(r *Recorder) {
	r.Of("default-scheduler").Eventf(pod("p"), nil, corev1.EventTypeWarning, "FailedScheduling", "Scheduling", "no room")
}

// after lets time pass, and returns what has been told until then.
func (f *fake) after(d time.Duration) (created, patched []told) {
	time.Sleep(d)
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.created), slices.Clone(f.patched)
}

// Senders are many: the second event of a series may be told of before the first.
func TestASeriesOfWhichTheServerHasNotHeardYet(t *testing.T) {
	sink := &fake{takes: 10 * time.Millisecond}
	record(t, strict{sink, &sync.Map{}}, idle, func(r *Recorder) {
		failed(r)
		failed(r)
		created, patched := sink.after(time.Second)
		all := slices.Concat(created, patched)
		if last := all[len(all)-1].event; len(created) != 1 || last.Series == nil || last.Series.Count != 2 {
			t.Errorf("%d were created and %d patched, at last with the series %+v, want a count of 2", len(created), len(patched), last.Series)
		}
	})
}

func TestEventsStandBackWhileBindsAreUnderWay(t *testing.T) {
	for _, c := range []struct {
		name string
		busy time.Duration
		want time.Duration
	}{
		{"nothing else to do", 0, 0},
		{"a burst", time.Second, time.Second},
		{"binds without end", time.Hour, patience},
	} {
		t.Run(c.name, func(t *testing.T) {
			sink := &fake{}
			var until atomic.Int64
			busy := func() bool { return time.Now().UnixNano() < until.Load() }
			record(t, sink, busy, func(r *Recorder) {
				begin := time.Now()
				until.Store(begin.Add(c.busy).UnixNano())
				scheduled(r, 0)
				created, _ := sink.after(patience + time.Second)
				if len(created) != 1 {
					t.Fatalf("got %d events, want 1", len(created))
				}
				if late := created[0].at.Sub(begin); late < c.want || late > c.want+look {
					t.Errorf("it was told after %v, want %v", late, c.want)
				}
				if e := created[0].event; !e.EventTime.Time.Equal(begin.Truncate(time.Microsecond)) && !e.EventTime.Time.Equal(begin) {
					t.Errorf("it says that it happened at %v, want %v", e.EventTime, begin)
				}
			})
		})
	}
}

// More events than the queue has room for, of a scheduler that is never idle.
func TestNoEventIsLost(t *testing.T) {
	const n = most + 5000
	sink := &fake{takes: time.Millisecond}
	record(t, sink, func() bool { return true }, func(r *Recorder) {
		for i := range n {
			scheduled(r, i)
		}
		time.Sleep(time.Minute)
	})
	seen := map[string]bool{}
	for _, x := range sink.created {
		seen[x.event.Regarding.Name] = true
	}
	if len(seen) != n || len(sink.created) != n {
		t.Errorf("got %d events about %d pods, want %d", len(sink.created), len(seen), n)
	}
}

func TestWhatWaitsAtTheEndIsTold(t *testing.T) {
	sink := &fake{takes: time.Millisecond}
	record(t, sink, func() bool { return true }, func(r *Recorder) {
		for i := range 1000 {
			scheduled(r, i)
		}
	})
	if n := len(sink.created); n != 1000 {
		t.Errorf("got %d events, want 1000", n)
	}
}

func TestAServerThatTakesNoneHoldsNobodyForLong(t *testing.T) {
	sink := &fake{fail: func(int) error { return errors.New("connection refused") }}
	record(t, sink, idle, func(r *Recorder) {
		begin := time.Now()
		for i := range most + senders + 1 {
			scheduled(r, i)
		}
		if took := time.Since(begin); took > hopeless {
			t.Errorf("it took %v to say what nobody hears, want no more than %v", took, hopeless)
		}
	})
}

func TestAnEventIsToldAgainUntilThereIsAnAnswer(t *testing.T) {
	gone := apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "ns")
	for _, c := range []struct {
		name        string
		err         error
		tries, want int
	}{
		{"no connection", errors.New("connection refused"), 3, 1},
		{"busy", apierrors.NewTooManyRequests("later", 1), 3, 1},
		{"restarting", apierrors.NewServiceUnavailable("soon"), 3, 1},
		{"no such namespace", gone, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			sink := &fake{fail: func(try int) error {
				if try < 3 {
					return c.err
				}
				return nil
			}}
			record(t, sink, idle, func(r *Recorder) {
				scheduled(r, 0)
				time.Sleep(time.Minute)
			})
			if sink.tries != c.tries || len(sink.created) != c.want {
				t.Errorf("got %d tries and %d events, want %d and %d", sink.tries, len(sink.created), c.tries, c.want)
			}
		})
	}
}

func TestWhatHappensAgainIsASeries(t *testing.T) {
	sink := &fake{}
	record(t, sink, idle, func(r *Recorder) {
		for range 5 {
			failed(r)
			time.Sleep(time.Second)
		}
		created, patched := sink.after(0)
		if len(created) != 1 || len(patched) != 1 || patched[0].event.Series.Count != 2 {
			t.Fatalf("got %d events and %v, want one, and its series of two", len(created), patched)
		}
		if _, patched = sink.after(over); len(patched) != 2 || patched[1].event.Series.Count != 5 {
			t.Fatalf("after a while: got %v, want a series of five", patched)
		}
		sink.after(2 * over)
		failed(r)
		if created, _ = sink.after(time.Second); len(created) != 2 {
			t.Errorf("after the series: got %d events, want another", len(created))
		}
	})
}
