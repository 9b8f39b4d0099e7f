package probe

import (
	"context"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// A worker asks one probe of one container, over all the container's restarts.
type worker struct {
	key
	m         *Manager
	pod       *corev1.Pod
	container *corev1.Container
	spec      *corev1.Probe // with defaults
	ask       askFunc

	ctx     context.Context
	stop    context.CancelFunc
	hurry   chan struct{} // asks for a probe before its time; has room for one
	counter counter
}

// A counter is what a worker remembers between two probes.
type counter struct {
	containerID string
	onHold      bool // no more probes until there is a new container
	listens     bool // it has answered, were it with a failure
	refusals    int  // how often nobody listened, before that
	last        Result
	row         int32 // how many answers were the same as last
}

func newWorker(m *Manager, k key, pod *corev1.Pod, c *corev1.Container, spec *corev1.Probe) *worker {
	w := &worker{key: k, m: m, pod: pod, container: c, spec: withDefaults(spec), hurry: make(chan struct{}, 1)}
	w.ask = m.asker(m.conf.Exec, w.container, w.spec)
	w.ctx, w.stop = context.WithCancel(m.ctx)
	return w
}

// withDefaults are those of the API, for a pod that no API server has seen.
func withDefaults(spec *corev1.Probe) *corev1.Probe {
	p := *spec
	for field, value := range map[*int32]int32{&p.PeriodSeconds: 10, &p.TimeoutSeconds: 1, &p.SuccessThreshold: 1, &p.FailureThreshold: 3} {
		if *field == 0 {
			*field = value
		}
	}
	return &p
}

func (w *worker) run() {
	defer w.stop()
	defer w.clean()
	period := time.Duration(w.spec.PeriodSeconds) * time.Second
	if w.outlivedKubelet(period) && !w.sleep(time.Duration(rand.Float64()*float64(period))) {
		return
	}
	tick := time.NewTicker(period)
	defer tick.Stop()
	for early := false; w.step(early); {
		var soon <-chan time.Time
		pause := w.counter.pause(w.kind)
		if 0 < pause && pause < period {
			soon = time.After(pause)
		}
		select {
		case <-w.ctx.Done():
			return
		case <-tick.C:
			early = false
		case <-w.hurry:
			early = pause > 0 // it has been asked in time, and did not listen
		case <-soon:
			early = true
		}
	}
}

// outlivedKubelet says whether the container ran before this kubelet did, and the
// kubelet has come back just now.
func (w *worker) outlivedKubelet(period time.Duration) bool {
	status, ok := w.m.conf.Status(w.pod.UID)
	if !ok || time.Since(w.m.conf.Started) >= period {
		return false
	}
	c := containerStatus(&status, w.container.Name)
	return c != nil && c.State.Running != nil && c.State.Running.StartedAt.Time.Before(w.m.conf.Started)
}

func (w *worker) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.ctx.Done():
		return false
	}
}

func (w *worker) clean() {
	w.m.results.drop(w.kind, w.counter.containerID)
	w.m.metrics.drop(w.key)
}

// step looks at the container and probes it if it is time. It returns false
// when there will be nothing to probe any more. Early is before the probe's time.
func (w *worker) step(early bool) bool {
	status, ok := w.m.conf.Status(w.pod.UID)
	if !ok || w.ctx.Err() != nil {
		return w.ctx.Err() == nil
	}
	c := containerStatus(&status, w.container.Name)
	if c != nil && c.ContainerID != "" && c.ContainerID != w.counter.containerID {
		w.m.results.drop(w.kind, w.counter.containerID)
		w.m.results.begin(w.kind, c.ContainerID, w.before(c))
		w.counter = counter{containerID: c.ContainerID}
	}
	what := next(w.kind, w.spec, w.pod, &status, c, w.counter, time.Now())
	if what != probe {
		w.counter.refusals = 0 // who can't be asked now is not asked again soon
	}
	switch what {
	case end:
		return false
	case fail:
		w.set(Failure, "container is not running")
	case probe:
		w.probe(&status, early)
	}
	return true
}

// before is what holds of a container until the worker has asked it: what an
// earlier kubelet has established, if it had one.
func (w *worker) before(c *corev1.ContainerStatus) Result {
	if w.kind == Startup && started(c) || w.kind == Readiness && c.Ready {
		return Success
	}
	return initial[w.kind]
}

// probe asks, and counts the answer. Of an early question only success counts: what
// the container is allowed to fail, it is allowed at the times that its spec names.
func (w *worker) probe(status *corev1.PodStatus, early bool) {
	began := time.Now()
	a := w.ask(w.ctx, w.counter.containerID, status.PodIP)
	if w.ctx.Err() != nil {
		return // the answer of a probe that was cut short says nothing
	}
	if a.refused {
		w.counter.refusals++
	} else {
		w.counter.listens = true
	}
	if early && a.result != Success {
		return
	}
	w.tell(a, time.Since(began))
	if a.result == Unknown {
		return
	}
	var established bool
	if w.counter, established = w.counter.count(a.result, w.kind, w.spec); established {
		w.set(a.result, a.output)
	}
}

// tell reports an answer to those who watch.
func (w *worker) tell(a answer, took time.Duration) {
	w.m.metrics.observe(w.key, w.pod, a, took)
	log := w.m.conf.Log.With("pod", w.pod.Namespace+"/"+w.pod.Name, "container", w.container.Name, "probe", w.kind)
	event := func(reason, message string) { w.m.conf.Event(w.pod, w.container.Name, reason, message) }
	switch {
	case a.result == Unknown:
		log.Warn("probe errored", "error", a.output)
		event("Unhealthy", string(w.kind)+" probe errored and resulted in unknown state: "+a.output)
	case a.result == Failure:
		log.Info("probe failed", "output", a.output)
		event("Unhealthy", string(w.kind)+" probe failed: "+a.output)
	case a.warning:
		event("ProbeWarning", string(w.kind)+" probe warning: "+a.output)
	}
}

func (w *worker) set(r Result, message string) {
	w.m.results.set(Update{
		Pod: w.pod.UID, Container: w.container.Name, ContainerID: w.counter.containerID,
		Kind: w.kind, Result: r, Message: message,
	})
}

func containerStatus(s *corev1.PodStatus, name string) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}
