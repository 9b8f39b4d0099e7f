package probe

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// A verdict is what a worker does when its time has come.
type verdict int

const (
	wait  verdict = iota // look again after a period
	probe                // ask the container
	fail                 // the container is not running: no need to ask
	end                  // the container will never run again
)

// next decides. The order of the questions is upstream's (worker.go, doProbe).
func next(kind Kind, spec *corev1.Probe, pod *corev1.Pod, status *corev1.PodStatus, c *corev1.ContainerStatus, count counter, now time.Time) verdict {
	switch {
	case status.Phase == corev1.PodFailed, status.Phase == corev1.PodSucceeded:
		return end
	case c == nil || c.ContainerID == "":
		return wait // not created yet
	case count.onHold:
		return wait
	case c.State.Running == nil:
		if c.State.Terminated != nil && !mayRestart(pod, c.Name) {
			return end
		}
		return fail
	case pod.DeletionTimestamp != nil && kind != Readiness:
		return end
	case now.Sub(c.State.Running.StartedAt.Time) < time.Duration(spec.InitialDelaySeconds)*time.Second:
		return wait
	case started(c) == (kind == Startup):
		return wait // the startup probe goes first, and then never again
	}
	return probe
}

func started(c *corev1.ContainerStatus) bool { return c.Started != nil && *c.Started }

// mayRestart says whether a container of that name can be started after it
// has terminated.
func mayRestart(pod *corev1.Pod, name string) bool {
	for c := range probed(pod) {
		if c.Name == name && (c.RestartPolicy != nil && *c.RestartPolicy != corev1.ContainerRestartPolicyNever || len(c.RestartPolicyRules) > 0) {
			return true
		}
	}
	return pod.Spec.RestartPolicy != corev1.RestartPolicyNever
}

// soonest is the first of the pauses after which a container that does not listen
// yet is asked again; each is twice as long as the one before.
const soonest = 5 * time.Millisecond

// pause is how long to wait before asking out of turn, or 0 for not at all. A server
// needs some milliseconds from its start until it listens, and the first probe is
// often earlier. A container can't see that a connection to it was refused, so it is
// asked again soon: it need not wait for a whole period to be ready. Upstream lets
// it wait. (docs/decisions/0008)
func (c counter) pause(kind Kind) time.Duration {
	if kind == Liveness || c.listens || c.refusals == 0 {
		return 0
	}
	return soonest << min(c.refusals-1, 30)
}

// count adds an answer to the row, and says whether the row is long enough for
// the result to hold. After a result that ends the container or the need for
// the probe, the worker rests: to exec in a container that is being stopped
// helps nobody.
func (c counter) count(r Result, kind Kind, spec *corev1.Probe) (next counter, established bool) {
	if c.last == r {
		c.row++
	} else {
		c.last, c.row = r, 1
	}
	if r == Failure && c.row < spec.FailureThreshold || r == Success && c.row < spec.SuccessThreshold {
		return c, false
	}
	if kind == Startup || kind == Liveness && r == Failure {
		c.onHold, c.row = true, 0
	}
	return c, true
}
