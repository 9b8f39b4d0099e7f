// Package podstatus says how a pod is doing, and is the seam to whoever wants to
// know.
//
// [Compute] is a pure function from what was observed to the status that
// kubectl shows: container states, phase, conditions. A [Sink] takes the result;
// the sink of this step writes to the log, that of a later one to the API server.
package podstatus

import (
	"log/slog"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
)

// A Sink takes the statuses of the node's pods. Its methods do not block, and
// are called concurrently for different pods but never for the same one.
type Sink interface {
	// Set reports the pod's status, whenever it has changed. The newest one is
	// complete and replaces all before it. The sink does not change its arguments.
	Set(pod *corev1.Pod, status corev1.PodStatus)

	// Released says that nothing of the pod runs any more, and that its volumes
	// and cgroup are gone: whoever keeps a pod that is marked for deletion may
	// forget it now. It may be called again: after a restart of the kubelet, and
	// when a pod that had ended by itself is marked for deletion.
	Released(pod *corev1.Pod)
}

// Sinks hands everything to each of them.
type Sinks []Sink

// Set implements [Sink].
func (s Sinks) Set(pod *corev1.Pod, status corev1.PodStatus) {
	for _, sink := range s {
		sink.Set(pod, status)
	}
}

// Released implements [Sink].
func (s Sinks) Released(pod *corev1.Pod) {
	for _, sink := range s {
		sink.Released(pod)
	}
}

// Log is a Sink that logs changes of phase and readiness.
type Log struct {
	log *slog.Logger

	mu   sync.Mutex // guards last
	last map[types.UID]line
}

type line struct {
	phase corev1.PodPhase
	ready corev1.ConditionStatus
	ip    string
}

var _ Sink = (*Log)(nil)

// NewLog returns a Sink that writes to log.
func NewLog(log *slog.Logger) *Log { return &Log{log: log, last: map[types.UID]line{}} }

// Set implements [Sink].
func (l *Log) Set(pod *corev1.Pod, status corev1.PodStatus) {
	now := line{status.Phase, ready(status), status.PodIP}
	l.mu.Lock()
	changed := l.last[pod.UID] != now
	l.last[pod.UID] = now
	l.mu.Unlock()
	if changed {
		l.log.Info("pod status", "pod", pod.Namespace+"/"+pod.Name, "phase", now.phase, "ready", now.ready, "ip", now.ip)
	}
}

// Released implements [Sink].
func (l *Log) Released(pod *corev1.Pod) {
	l.mu.Lock()
	delete(l.last, pod.UID)
	l.mu.Unlock()
	l.log.Info("pod released", "pod", pod.Namespace+"/"+pod.Name)
}

func ready(status corev1.PodStatus) corev1.ConditionStatus {
	if c := condition(status.Conditions, corev1.PodReady); c != nil {
		return c.Status
	}
	return corev1.ConditionUnknown
}

func condition(all []corev1.PodCondition, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range all {
		if all[i].Type == kind {
			return &all[i]
		}
	}
	return nil
}

// Equal reports whether two statuses say the same.
func Equal(a, b corev1.PodStatus) bool { return equality.Semantic.DeepEqual(a, b) }
