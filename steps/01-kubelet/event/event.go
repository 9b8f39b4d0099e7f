// Package event is the seam between the kubelet and those who want to know what
// it did and why.
//
// An event is one sentence about one pod, with a reason that a program can match:
// "Started container web". Upstream sends them to the API server, where kubectl
// describe shows them; on a node without one they go to the log and to a [Ring].
package event

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// An Event is something that happened to a pod.
type Event struct {
	Time      time.Time   `json:"time"`
	Pod       *corev1.Pod `json:"-"`
	Namespace string      `json:"namespace"`
	Name      string      `json:"pod"`
	Container string      `json:"container,omitempty"` // "" when it concerns the whole pod
	Type      string      `json:"type"`                // corev1.EventTypeNormal or EventTypeWarning
	Reason    string      `json:"reason"`              // upstream's, such as Started or BackOff
	Message   string      `json:"message"`
	Count     int         `json:"count"` // how often in a row, as a Ring counts
}

// A Recorder takes events. Record does not block and may be called concurrently.
type Recorder interface {
	Record(Event)
}

// Recorders hands every event to each of them.
type Recorders []Recorder

// Record implements [Recorder].
func (rs Recorders) Record(e Event) {
	for _, r := range rs {
		r.Record(e)
	}
}

// Warnings returns a function that records warnings.
func Warnings(r Recorder) func(pod *corev1.Pod, container, reason, message string) {
	return func(pod *corev1.Pod, container, reason, message string) {
		r.Record(Event{Time: time.Now(), Pod: pod, Namespace: pod.Namespace, Name: pod.Name, Container: container,
			Type: corev1.EventTypeWarning, Reason: reason, Message: message})
	}
}

// Log writes events to a logger, warnings at its level Warn.
type Log struct{ *slog.Logger }

// Record implements [Recorder].
func (l Log) Record(e Event) {
	level := slog.LevelInfo
	if e.Type == corev1.EventTypeWarning {
		level = slog.LevelWarn
	}
	args := []any{"reason", e.Reason, "pod", e.Namespace + "/" + e.Name}
	if e.Container != "" {
		args = append(args, "container", e.Container)
	}
	l.Logger.Log(context.Background(), level, e.Message, args...)
}

// A Ring keeps the newest events. The zero Ring keeps 1000; one that repeats the
// last of its pod only counts up.
type Ring struct {
	mu     sync.Mutex // guards events
	events []Event
}

const ringSize = 1000

// Record implements [Recorder].
func (r *Ring) Record(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.events) - 1; i >= 0; i-- {
		old := &r.events[i]
		if old.Namespace != e.Namespace || old.Name != e.Name {
			continue
		}
		if old.Container == e.Container && old.Reason == e.Reason && old.Message == e.Message {
			old.Time, old.Count = e.Time, old.Count+1
			return
		}
		break
	}
	e.Count = 1
	r.events = append(r.events, e)
	if over := len(r.events) - ringSize; over > 0 {
		r.events = slices.Delete(r.events, 0, over)
	}
}

// Events returns what the ring holds, oldest first.
func (r *Ring) Events() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}
