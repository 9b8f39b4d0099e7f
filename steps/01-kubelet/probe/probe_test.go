package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A scene is a pod with one container, and a manager that probes it inside a
// synctest bubble, where time passes only when everybody sleeps.
type scene struct {
	*Manager
	pod   *corev1.Pod
	began time.Time

	mu      sync.Mutex // guards the fields below
	status  corev1.PodStatus
	code    int           // with which the probe's command exits
	err     error         // with which it can't be run
	took    time.Duration // that it takes
	asked   []string      // when: "3s"
	events  []string
	updates []string // "3s Liveness Failure"
}

func play(t *testing.T, c corev1.Container, run func(s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c.Name = "main"
		s := &scene{began: time.Now()}
		s.pod = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", UID: "1234"}, Spec: corev1.PodSpec{Containers: []corev1.Container{c}}}
		s.Manager = NewManager(Config{
			Status: func(types.UID) (corev1.PodStatus, bool) {
				s.mu.Lock()
				defer s.mu.Unlock()
				return *s.status.DeepCopy(), true
			},
			Exec:    s.exec,
			Event:   func(_ *corev1.Pod, _, reason, message string) { s.note(&s.events, reason+": "+message) },
			Started: time.Now().Add(-time.Hour),
		})
		ctx, cancel := context.WithCancel(t.Context())
		var ended sync.WaitGroup
		ended.Go(func() { s.Run(ctx) })
		ended.Go(func() {
			for {
				select {
				case u := <-s.Updates():
					s.note(&s.updates, fmt.Sprintf("%s %s %s", s.age(), u.Kind, u.Result))
				case <-ctx.Done():
					return
				}
			}
		})
		run(s)
		cancel()
		ended.Wait()
	})
}

func (s *scene) age() time.Duration { return time.Since(s.began) }

func (s *scene) note(list *[]string, line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*list = append(*list, line)
}

func (s *scene) exec(ctx context.Context, id string, _ []string, timeout time.Duration) ([]byte, int, error) {
	s.note(&s.asked, s.age().String())
	s.mu.Lock()
	took, code, err := s.took, s.code, s.err
	s.mu.Unlock()
	if id != "1" && id != "2" {
		return nil, 0, fmt.Errorf("id %q has a prefix", id)
	}
	select {
	case <-time.After(min(took, timeout)):
	case <-ctx.Done():
	}
	if took > timeout {
		return nil, 0, context.DeadlineExceeded
	}
	return []byte("output"), code, err
}

func (s *scene) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// start makes the container run, as the kubelet's sync does it.
func (s *scene) start(id string) {
	s.set(func() {
		s.status.Phase = corev1.PodRunning
		s.status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", ContainerID: "groundup://" + id,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}}}
		s.SetStarted(s.pod, &s.status) // before anybody looks whether it has
	})
	s.Add(s.pod)
	s.sync()
}

// sync computes the status anew and returns started and ready.
func (s *scene) sync() (started, ready bool) {
	s.mu.Lock()
	status := s.status.DeepCopy()
	s.mu.Unlock()
	s.SetStarted(s.pod, status)
	s.set(func() { s.status = *status })
	s.Hurry(s.pod.UID, status)
	c := status.ContainerStatuses[0]
	return *c.Started, c.Ready
}

func (s *scene) sleep(d time.Duration) {
	time.Sleep(d) // virtual
	synctest.Wait()
}

func (s *scene) expect(t *testing.T, what string, list *[]string, want ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(*list, want) {
		t.Errorf("%s: got %q, want %q", what, *list, want)
	}
}

func command(p corev1.Probe) *corev1.Probe {
	p.Exec = &corev1.ExecAction{Command: []string{"true"}}
	return &p
}

func TestLiveness(t *testing.T) {
	play(t, corev1.Container{LivenessProbe: command(corev1.Probe{InitialDelaySeconds: 3, PeriodSeconds: 2, FailureThreshold: 2})}, func(s *scene) {
		s.start("1")
		s.sleep(5 * time.Second)
		s.expect(t, "asked", &s.asked, "4s")
		s.set(func() { s.code = 1 })
		s.sleep(7 * time.Second) // 6s and 8s fail; then the worker rests
		s.expect(t, "asked", &s.asked, "4s", "6s", "8s")
		s.expect(t, "updates", &s.updates, "8s Liveness Failure")
		s.expect(t, "events", &s.events, "Unhealthy: Liveness probe failed: output", "Unhealthy: Liveness probe failed: output")
		if r, ok := s.Result(Liveness, "groundup://1"); !ok || r != Failure {
			t.Errorf("got %s, %v", r, ok)
		}

		s.set(func() { s.code = 0 })
		s.start("2") // at 12s
		s.sleep(5 * time.Second)
		s.expect(t, "asked", &s.asked, "4s", "6s", "8s", "16s")
		if _, ok := s.Result(Liveness, "groundup://1"); ok {
			t.Error("the result of the container of before is still there")
		}
	})
}

func TestStartupHoldsTheOthersBack(t *testing.T) {
	c := corev1.Container{
		StartupProbe:   command(corev1.Probe{PeriodSeconds: 1, FailureThreshold: 5}),
		ReadinessProbe: command(corev1.Probe{PeriodSeconds: 10}),
	}
	play(t, c, func(s *scene) {
		s.set(func() { s.code = 1 })
		s.start("1")
		s.sleep(3500 * time.Millisecond)
		s.expect(t, "asked", &s.asked, "0s", "1s", "2s", "3s")
		if started, ready := s.sync(); started || ready {
			t.Errorf("got started %v, ready %v", started, ready)
		}
		s.set(func() { s.code = 0 })
		s.sleep(time.Second) // 4s succeeds
		s.expect(t, "updates", &s.updates, "4s Startup Success")
		if started, ready := s.sync(); !started || ready {
			t.Errorf("got started %v, ready %v", started, ready)
		}
		s.sync() // the readiness worker sees that it has started, and does not wait for 10s
		s.sleep(0)
		if last := s.asked[len(s.asked)-1]; last != "4.5s" {
			t.Errorf("asked last: got %s, want 4.5s", last)
		}
		if started, ready := s.sync(); !started || !ready {
			t.Errorf("got started %v, ready %v", started, ready)
		}
	})
}

func TestStartupFails(t *testing.T) {
	play(t, corev1.Container{StartupProbe: command(corev1.Probe{PeriodSeconds: 1, FailureThreshold: 2})}, func(s *scene) {
		s.set(func() { s.code = 1 })
		s.start("1")
		s.sleep(5 * time.Second)
		s.expect(t, "updates", &s.updates, "1s Startup Failure")
		s.expect(t, "asked", &s.asked, "0s", "1s")
	})
}

func TestReadinessComesAndGoes(t *testing.T) {
	play(t, corev1.Container{ReadinessProbe: command(corev1.Probe{PeriodSeconds: 1, SuccessThreshold: 2, FailureThreshold: 1})}, func(s *scene) {
		s.start("1")
		s.sleep(2500 * time.Millisecond)
		s.set(func() { s.code = 1 })
		s.sleep(2 * time.Second)
		s.set(func() { s.code = 0 })
		s.sleep(2 * time.Second)
		s.expect(t, "updates", &s.updates, "0s Readiness Success", "3s Readiness Failure", "6s Readiness Success")
	})
}

func TestTimeoutIsAFailure(t *testing.T) {
	play(t, corev1.Container{LivenessProbe: command(corev1.Probe{PeriodSeconds: 10, TimeoutSeconds: 2, FailureThreshold: 1})}, func(s *scene) {
		s.set(func() { s.took = time.Minute })
		s.start("1")
		s.sleep(5 * time.Second)
		s.expect(t, "updates", &s.updates, "2s Liveness Failure")
		s.expect(t, "events", &s.events, `Unhealthy: Liveness probe failed: command timed out: "true" timed out after 2s`)
	})
}

func TestAProbeThatCannotBeAskedDecidesNothing(t *testing.T) {
	play(t, corev1.Container{LivenessProbe: command(corev1.Probe{PeriodSeconds: 10, FailureThreshold: 1})}, func(s *scene) {
		s.set(func() { s.err = errors.New("no such container") })
		s.start("1")
		s.sleep(time.Second)
		s.expect(t, "asked", &s.asked, "0s", "0s", "0s")
		s.expect(t, "updates", &s.updates)
		s.expect(t, "events", &s.events, "Unhealthy: Liveness probe errored and resulted in unknown state: no such container")
	})
}

func TestStopping(t *testing.T) {
	c := corev1.Container{LivenessProbe: command(corev1.Probe{PeriodSeconds: 1}), ReadinessProbe: command(corev1.Probe{PeriodSeconds: 1})}
	play(t, c, func(s *scene) {
		s.start("1")
		s.sleep(1500 * time.Millisecond)
		s.StopLivenessAndStartup("1234")
		s.sleep(time.Second)
		if _, ok := s.Result(Readiness, "groundup://1"); !ok {
			t.Error("readiness is gone")
		}
		if _, ok := s.Result(Liveness, "groundup://1"); ok {
			t.Error("liveness is still there")
		}
		s.Remove("1234")
		s.set(func() { s.asked = nil })
		s.sleep(5 * time.Second)
		s.expect(t, "asked", &s.asked)
		if _, ok := s.Result(Readiness, "groundup://1"); ok {
			t.Error("readiness is still there")
		}
	})
}

func TestRemoveInterruptsAProbe(t *testing.T) {
	play(t, corev1.Container{LivenessProbe: command(corev1.Probe{TimeoutSeconds: 30, FailureThreshold: 1})}, func(s *scene) {
		s.set(func() { s.took = time.Hour })
		s.start("1")
		s.sleep(time.Second)
		s.Remove("1234")
		s.sleep(time.Minute)
		s.expect(t, "updates", &s.updates)
	})
}

func TestAWorkerEndsWithItsPod(t *testing.T) {
	play(t, corev1.Container{ReadinessProbe: command(corev1.Probe{PeriodSeconds: 1})}, func(s *scene) {
		s.start("1")
		s.sleep(1500 * time.Millisecond)
		s.set(func() { s.status.Phase = corev1.PodSucceeded })
		s.sleep(time.Second)
		if s.worker(key{"1234", "main", Readiness}) != nil {
			t.Error("the worker is still there")
		}
	})
}

func TestWorkersSpreadAfterTheKubeletStarted(t *testing.T) {
	play(t, corev1.Container{LivenessProbe: command(corev1.Probe{PeriodSeconds: 100})}, func(s *scene) {
		s.conf.Started = time.Now().Add(time.Millisecond) // a container that outlived another kubelet
		s.start("1")
		s.sleep(0)
		s.expect(t, "asked at once", &s.asked)
		s.sleep(100 * time.Second)
		if len(s.asked) != 1 {
			t.Errorf("asked within a period: got %q, want once", s.asked)
		}
	})
	play(t, corev1.Container{LivenessProbe: command(corev1.Probe{PeriodSeconds: 100})}, func(s *scene) {
		s.conf.Started = time.Now()
		s.start("1") // by this kubelet
		s.sleep(0)
		s.expect(t, "asked", &s.asked, "0s")
	})
}

// A kubelet that is started again knows from the status what its predecessor found.
func TestAContainerThatOutlivesAKubeletStaysAsItWas(t *testing.T) {
	c := corev1.Container{
		StartupProbe:   command(corev1.Probe{PeriodSeconds: 1, FailureThreshold: 1}),
		ReadinessProbe: command(corev1.Probe{PeriodSeconds: 10, FailureThreshold: 2}),
	}
	for _, before := range []struct {
		started *bool // nil: no status was kept
		ready   bool
	}{{new(true), true}, {new(true), false}, {nil, false}} {
		was := before.ready
		play(t, c, func(s *scene) {
			s.set(func() {
				s.code = 1
				s.status.Phase = corev1.PodRunning
				s.status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", ContainerID: "groundup://1", Started: before.started, Ready: was,
					State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(s.began.Add(-time.Minute))}}}}
			})
			s.conf.Started = s.began
			expect := func(when string, want bool) {
				t.Helper()
				if started, ready := s.sync(); !started || ready != want {
					t.Errorf("%s: got started %v, ready %v, want it started, and ready %v", when, started, ready, want)
				}
			}
			expect("before there are workers", was)
			s.Add(s.pod)
			s.sleep(0)
			expect("before it was asked", was)
			s.sleep(9 * time.Second)
			expect("it may have failed once", was)
			s.sleep(15 * time.Second)
			expect("it has failed twice", false)
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.updates) > 0 && strings.Contains(s.updates[0], "Startup") {
				t.Errorf("got %q: it had started, and was asked again whether it has", s.updates)
			}
		})
	}
}

func TestWhoDoesNotListenYetIsAskedAgainSoon(t *testing.T) {
	for _, tt := range []struct {
		name    string
		kind    Kind
		answers string // r is refused, f fails, s succeeds; the last holds on
		want    []string
		updates []string
		told    int
	}{
		{"ready as soon as it listens", Readiness, "rrrs", []string{"0s", "5ms", "15ms", "35ms", "1s"}, []string{"35ms Readiness Success"}, 1},
		{"for a whole period", Readiness, "r", []string{"0s", "5ms", "15ms", "35ms", "75ms", "155ms", "315ms", "635ms", "1s"}, nil, 2},
		{"who has answered is asked in turn", Readiness, "rfr", []string{"0s", "5ms", "1s"}, nil, 2},
		{"started as soon as it listens", Startup, "rrs", []string{"0s", "5ms", "15ms"}, []string{"15ms Startup Success"}, 1},
		{"liveness is asked in turn", Liveness, "r", []string{"0s", "1s"}, nil, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := command(corev1.Probe{PeriodSeconds: 1, FailureThreshold: 3})
			c := corev1.Container{}
			switch tt.kind {
			case Liveness:
				c.LivenessProbe = p
			case Readiness:
				c.ReadinessProbe = p
			case Startup:
				c.StartupProbe = p
			}
			play(t, c, func(s *scene) {
				answers := map[byte]answer{'r': {result: Failure, refused: true}, 'f': {result: Failure}, 's': {result: Success}}
				s.asker = func(execFunc, *corev1.Container, *corev1.Probe) askFunc {
					return func(context.Context, string, string) answer {
						a := answers[tt.answers[min(len(s.asked), len(tt.answers)-1)]]
						s.note(&s.asked, s.age().String())
						return a
					}
				}
				// Not by start, whose sync asks once more than the worker does by itself.
				started := tt.kind != Startup
				s.status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", ContainerID: "groundup://1", Started: &started,
					State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}}}
				s.Add(s.pod)
				s.sleep(1100 * time.Millisecond)
				s.expect(t, "asked", &s.asked, tt.want...)
				s.expect(t, "updates", &s.updates, tt.updates...)
				if len(s.events) != tt.told {
					t.Errorf("events: got %q, want %d", s.events, tt.told)
				}
			})
		})
	}
}

func TestWhoDiedBeforeItListenedIsLookedAtInTurn(t *testing.T) {
	play(t, corev1.Container{ReadinessProbe: command(corev1.Probe{PeriodSeconds: 1})}, func(s *scene) {
		s.asker = func(execFunc, *corev1.Container, *corev1.Probe) askFunc {
			return func(context.Context, string, string) answer { return answer{result: Failure, refused: true} }
		}
		looks, status := 0, s.conf.Status
		s.conf.Status = func(uid types.UID) (corev1.PodStatus, bool) {
			s.set(func() { looks++ })
			return status(uid)
		}
		s.start("1")
		s.sleep(20 * time.Millisecond)
		s.set(func() { // it waits to be started again
			s.status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}}
			looks = 0
		})
		s.sleep(time.Minute)
		s.set(func() {
			if looks > 65 {
				t.Errorf("looked %d times in a minute, want once a second", looks)
			}
		})
	})
}

func TestUpdatesWaitAndTheNewestOfEachWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResults()
		ctx, cancel := context.WithCancel(t.Context())
		go r.pump(ctx)
		for _, id := range []string{"a", "b"} {
			r.begin(Readiness, id, Failure)
			for _, result := range []Result{Success, Failure, Failure, Success} {
				r.set(Update{ContainerID: id, Kind: Readiness, Result: result})
				synctest.Wait()
			}
		}
		var got []string
		for range 3 {
			u := <-r.updates
			got = append(got, u.ContainerID+" "+string(u.Result))
			synctest.Wait()
		}
		cancel()
		synctest.Wait()
		// The first was on its way when the next came.
		if want := []string{"a Success", "a Success", "b Success"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		select {
		case u := <-r.updates:
			t.Errorf("got one more: %v", u)
		default:
		}
	})
}

func TestSetStartedWithoutProbes(t *testing.T) {
	m := NewManager(Config{})
	always := corev1.ContainerRestartPolicyAlways
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{{Name: "init"}, {Name: "proxy", RestartPolicy: &always}},
		Containers:     []corev1.Container{{Name: "main"}, {Name: "dead"}},
	}}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	terminated := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
	status := &corev1.PodStatus{
		InitContainerStatuses: []corev1.ContainerStatus{{Name: "init", State: terminated}, {Name: "proxy", State: running}},
		ContainerStatuses:     []corev1.ContainerStatus{{Name: "main", State: running}, {Name: "dead", State: terminated}},
	}
	m.SetStarted(pod, status)
	var got []string
	for _, c := range slices.Concat(status.InitContainerStatuses, status.ContainerStatuses) {
		got = append(got, fmt.Sprintf("%s %v %v", c.Name, *c.Started, c.Ready))
	}
	if want := []string{"init false true", "proxy true true", "main true true", "dead false false"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestGracePeriod(t *testing.T) {
	five, nine := int64(5), int64(9)
	c := &corev1.Container{LivenessProbe: &corev1.Probe{TerminationGracePeriodSeconds: &five}, StartupProbe: &corev1.Probe{}}
	for _, tt := range []struct {
		pod  *int64
		kind Kind
		want int64
	}{{&nine, Liveness, 5}, {&nine, Startup, 9}, {&nine, Readiness, 9}, {nil, Startup, 30}} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{TerminationGracePeriodSeconds: tt.pod}}
		if got := GracePeriod(pod, c, tt.kind); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.kind, got, tt.want)
		}
	}
}

func TestMetricsGoWithTheWorker(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	m := newMetrics(r)
	k := key{"1234", "main", Liveness}
	m.observe(k, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"}}, answer{result: Failure}, time.Second)
	if got := families(t, r); !slices.Equal(got, []string{"prober_probe_total"}) {
		t.Errorf("got %q", got)
	}
	m.drop(k)
	if got := families(t, r); len(got) != 0 {
		t.Errorf("got %q, want none", got)
	}
}

func families(t *testing.T, r prometheus.Gatherer) []string {
	t.Helper()
	list, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range list {
		names = append(names, f.GetName())
	}
	return names
}
