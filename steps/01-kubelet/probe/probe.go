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
	"time"

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

// A Result is the state that a row of equal answers has established.
type Result string

// The results.
const (
	Unknown Result = "Unknown"
	Success Result = "Success"
	Failure Result = "Failure"
)

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
	// its output and exit code. An error means that it could not be run or
	// took longer than timeout.
	Exec func(ctx context.Context, containerID string, command []string, timeout time.Duration) (output []byte, code int, err error)

	// Event, which may be nil, is told every answer that is not a success, as
	// upstream's event "Unhealthy": "Liveness probe failed: …".
	Event func(pod *corev1.Pod, container, reason, message string)

	// Started is when the kubelet started: workers that begin soon after it
	// spread their first probe over one period.
	Started time.Time

	Log *slog.Logger
}

// A Manager runs the probes of all containers of the node.
type Manager struct{ conf Config }

// NewManager returns a manager without workers.
func NewManager(conf Config) *Manager { return &Manager{conf: conf} }

// Add starts the workers of a pod's probes. Those that run already go on:
// call it at every sync.
func (m *Manager) Add(pod *corev1.Pod) {}

// StopLivenessAndStartup ends those workers of a pod which is terminating: it
// must not be restarted any more, and its readiness is still of interest.
func (m *Manager) StopLivenessAndStartup(uid types.UID) {}

// Remove ends all workers of a pod and forgets its results.
func (m *Manager) Remove(uid types.UID) {}

// Updates is where results that have changed arrive. It is never closed. When
// nobody listens the newest result of each probe waits; none is lost.
func (m *Manager) Updates() <-chan Update { return nil }

// Result returns the newest result for a container id (with prefix); ok is
// false when there is none yet.
func (m *Manager) Result(kind Kind, containerID string) (r Result, ok bool) { return Unknown, false }

// SetStarted sets Started and Ready of every container status, as the probes
// and their absence say: a container without startup probe has started when it
// runs, one without readiness probe is ready when it has started.
func (m *Manager) SetStarted(pod *corev1.Pod, status *corev1.PodStatus) {}

// GracePeriod returns the seconds that a container gets to stop because of a
// failed probe: the probe's own terminationGracePeriodSeconds, else the pod's.
func GracePeriod(pod *corev1.Pod, c *corev1.Container, kind Kind) int64 { return 0 }

// Run blocks until ctx is done and every worker has stopped.
func (m *Manager) Run(ctx context.Context) error { <-ctx.Done(); return nil }
