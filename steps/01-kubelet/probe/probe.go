// Package probe asks containers how they are.
//
// A probe is a question with a deadline, asked again and again: run a command,
// fetch a page, open a connection, call a health service. One worker per
// container and kind asks it and counts the answers; only a row of equal
// answers (successThreshold, failureThreshold) changes the [Result]. What a
// result means is not decided here: a failed liveness or startup probe makes
// the kubelet restart the container, a failed readiness probe makes it unready.
//
// Upstream: pkg/kubelet/prober and pkg/probe.
package probe

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A Kind is what a probe's answer is for.
type Kind string

// The kinds, as metrics and events spell them.
const (
	Liveness  Kind = "Liveness"
	Readiness Kind = "Readiness"
	Startup   Kind = "Startup"
)

// A Result is the state that a row of equal answers has established. Until the
// first row is complete a container counts as live, as not ready, and as
// neither started nor failed to start (Unknown).
type Result string

// The results.
const (
	Unknown Result = "Unknown"
	Success Result = "Success"
	Failure Result = "Failure"
)

var initial = map[Kind]Result{Liveness: Success, Readiness: Failure, Startup: Unknown}

// An Update reports that a probe's result has changed.
type Update struct {
	Pod         types.UID
	Container   string // name
	ContainerID string // as in the pod's status, with the runtime's prefix
	Kind        Kind
	Result      Result
	Message     string // of the answer that decided
}

// A Config connects a Manager to the rest of the kubelet.
type Config struct {
	// Status returns the pod's newest status, which tells a worker whether its
	// container runs, under which id and since when, and the pod's address.
	Status func(types.UID) (corev1.PodStatus, bool)

	// Exec runs a command in a container (a CRI id without prefix) and returns
	// its output and exit code. An error means that it could not be run; if it
	// is, or wraps, context.DeadlineExceeded, or has that gRPC code, the
	// command took longer than timeout, and the probe has failed.
	Exec func(ctx context.Context, containerID string, command []string, timeout time.Duration) (output []byte, code int, err error)

	// Event, which may be nil, is told every answer that is not a plain
	// success: reason "Unhealthy", message "Liveness probe failed: …".
	Event func(pod *corev1.Pod, container, reason, message string)

	// Started is when the kubelet started. Within a period of it, the first
	// probes of containers that ran before are spread over one period, so that
	// a node full of pods does not probe all of them at once.
	Started time.Time

	Metrics prometheus.Registerer // of /metrics/probes; may be nil
	Log     *slog.Logger
}

// A Manager runs the probes of all containers of the node.
type Manager struct {
	conf    Config
	metrics metrics
	results *results
	asker   func(execFunc, *corev1.Container, *corev1.Probe) askFunc // asker but in tests

	ctx  context.Context // of all workers
	stop context.CancelFunc

	mu      sync.Mutex // guards the fields below
	workers map[key]*worker
	running sync.WaitGroup
}

// A key names a worker.
type key struct {
	pod       types.UID
	container string
	kind      Kind
}

// NewManager returns a manager without workers. Run must be called for its
// updates to arrive and its workers to end.
func NewManager(conf Config) *Manager {
	if conf.Log == nil {
		conf.Log = slog.New(slog.DiscardHandler)
	}
	if conf.Event == nil {
		conf.Event = func(*corev1.Pod, string, string, string) {}
	}
	m := &Manager{conf: conf, metrics: newMetrics(conf.Metrics), results: newResults(), asker: asker, workers: map[key]*worker{}}
	m.ctx, m.stop = context.WithCancel(context.Background())
	return m
}

// Run blocks until ctx is done and every worker has stopped.
func (m *Manager) Run(ctx context.Context) error {
	m.results.pump(ctx)
	m.mu.Lock()
	m.stop()
	m.mu.Unlock()
	m.running.Wait()
	return nil
}

// Add starts the workers of a pod's probes. Those that run already go on:
// call it at every sync.
func (m *Manager) Add(pod *corev1.Pod) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		return
	}
	for c := range probed(pod) {
		for kind, spec := range probesOf(c) {
			k := key{pod.UID, c.Name, kind}
			if spec == nil || m.workers[k] != nil {
				continue
			}
			w := newWorker(m, k, pod, c, spec)
			m.workers[k] = w
			m.running.Go(func() {
				w.run()
				m.forget(w)
			})
		}
	}
}

// forget is called by a worker that has ended.
func (m *Manager) forget(w *worker) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.workers[w.key] == w {
		delete(m.workers, w.key)
	}
}

// StopLivenessAndStartup ends those workers of a pod which is terminating: it
// must not be restarted any more, and its readiness is still of interest.
func (m *Manager) StopLivenessAndStartup(uid types.UID) {
	m.end(func(k key) bool { return k.pod == uid && k.kind != Readiness })
}

// Remove ends all workers of a pod and forgets its results.
func (m *Manager) Remove(uid types.UID) {
	m.end(func(k key) bool { return k.pod == uid })
}

func (m *Manager) end(which func(key) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, w := range m.workers {
		if which(k) {
			w.stop()
			delete(m.workers, k)
		}
	}
}

// Updates is where results that have changed arrive. It is never closed. When
// nobody listens the newest result of each probe waits; none is lost.
func (m *Manager) Updates() <-chan Update { return m.results.updates }

// Result returns the newest result for a container id (with prefix); ok is
// false when there is none yet.
func (m *Manager) Result(kind Kind, containerID string) (r Result, ok bool) {
	return m.results.get(kind, containerID)
}

// worker returns the running worker of a key, or nil.
func (m *Manager) worker(k key) *worker {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.workers[k]
}

// GracePeriod returns the seconds that a container gets to stop because of a
// failed probe: the probe's own terminationGracePeriodSeconds, else the pod's.
func GracePeriod(pod *corev1.Pod, c *corev1.Container, kind Kind) int64 {
	if spec := probesOf(c)[kind]; spec != nil && spec.TerminationGracePeriodSeconds != nil {
		return *spec.TerminationGracePeriodSeconds
	}
	if s := pod.Spec.TerminationGracePeriodSeconds; s != nil {
		return *s
	}
	return corev1.DefaultTerminationGracePeriodSeconds
}

func probesOf(c *corev1.Container) map[Kind]*corev1.Probe {
	return map[Kind]*corev1.Probe{Liveness: c.LivenessProbe, Readiness: c.ReadinessProbe, Startup: c.StartupProbe}
}

// probed calls yield with the containers that may have probes: the app
// containers and the sidecars.
func probed(pod *corev1.Pod) func(yield func(*corev1.Container) bool) {
	return func(yield func(*corev1.Container) bool) {
		for i := range pod.Spec.InitContainers {
			if c := &pod.Spec.InitContainers[i]; sidecar(c) && !yield(c) {
				return
			}
		}
		for i := range pod.Spec.Containers {
			if !yield(&pod.Spec.Containers[i]) {
				return
			}
		}
	}
}

func sidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}
