package queue

import "maps"

// A Count is how many pods are where.
type Count struct{ Active, Backoff, Unschedulable, Gated int }

// Count says how many pods wait, and for what.
func (q *Queue) Count() Count {
	return Count{len(q.active.items), len(q.backingOff.items) + len(q.erring.items), len(q.unschedulable), len(q.held)}
}

// Entered says how many pods have ever come where, and why. It is the caller's.
func (q *Queue) Entered() map[Entry]int { return maps.Clone(q.entered) }

// A Rejection is a plugin that keeps pods of a profile waiting.
type Rejection struct{ Plugin, Profile string }

// Rejections says how many pods wait because of which plugin: each counts for every
// plugin that has rejected it.
func (q *Queue) Rejections() map[Rejection]int {
	pods := map[Rejection]int{}
	for _, item := range q.items {
		profile := item.Pod.Spec.SchedulerName
		switch item.place {
		case inFlight:
		case held:
			pods[Rejection{q.Held(item.Pod), profile}]++
		default:
			for _, plugin := range item.RejectedBy {
				pods[Rejection{plugin, profile}]++
			}
		}
	}
	return pods
}

// An Entry is where pods came in, and why: for metrics, in upstream's words.
type Entry struct{ Queue, Event string }

// What makes pods change their place besides events of the cluster.
// Upstream: pkg/scheduler/framework/events.go.
const (
	podAdded         = "UnscheduledPodAdd"
	attemptFailed    = "ScheduleAttemptFailure"
	backedOff        = "BackoffComplete"
	poppedEarly      = "PopFromBackoffQ"
	waitedLongEnough = "UnschedulableTimeout"
)

// String is the queue's name in metrics. Upstream counts whoever is held among the
// unschedulable when it enters.
func (p place) String() string {
	switch p {
	case active:
		return "active"
	case backingOff, erring:
		return "backoff"
	case unschedulable, held:
		return "unschedulable"
	}
	return ""
}
