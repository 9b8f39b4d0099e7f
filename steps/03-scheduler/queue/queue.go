// Package queue decides which pod is looked at next, and when a pod that found
// no node is looked at again.
//
// A pod that waits for a node is in one of three places. In the active heap it is
// waiting for its turn: by priority, and then by age. Backing off, it has just
// failed and waits a second, then two, up to ten, so that pods that fail again and
// again do not keep the others from their turn. And unschedulable, it waits for
// something to happen: a node is added, a taint is removed, a pod goes away. Of
// what happens only that counts which could help this very pod, and who knows that
// is the plugin that rejected it; so each event is shown to the plugins that
// rejected the pod (the hint). Whatever was forgotten there: after five minutes it
// is looked at again without any reason.
//
// Between [Queue.Pop] and the end of its decision a pod is in none of them. An
// event that comes meanwhile could be the one that it needs, and the snapshot by
// which it is being rejected may not show it yet; so events are kept that long, and
// read to the pod when it comes back.
//
// The queue has no clock, lock or goroutine: every method that needs the time is
// told it. [Shared] is a queue for many goroutines.
//
// Upstream: pkg/scheduler/backend/queue, whose activeQ, backoffQ, unschedulablePods
// and inFlightEvents these are.
package queue

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
)

// An Item is a pod that waits for a node, and what is remembered of its attempts.
// It belongs to the queue, and to whoever popped it until it is given back.
type Item struct {
	Pod *framework.Pod
	// Added is since when the pod may be looked at, its gates not counted, and Since
	// when it came back last: those who have waited longer are first among equals.
	Added, Since time.Time
	// Attempts counts how often it has been popped.
	Attempts int
	// RejectedBy are the plugins that found no node at the last attempt, which are
	// asked about events. None means that the attempt itself went wrong.
	RejectedBy []string

	failures int       // attempts in a row after which it backs off
	due      time.Time // end of its back-off
	place    place
	index    int // in its heap
}

// A place is where in a queue an item is.
type place int

const (
	nowhere place = iota
	active
	backingOff
	erring // backing off after an error: no idle moment shortens that
	unschedulable
	held
	inFlight
)

// A Config says how a queue orders and moves its pods.
type Config struct {
	// Less says whether a is looked at before b.
	Less func(a, b *Item) bool
	// Held names the plugin that says that a pod may not be looked at before it is
	// changed itself, as it has scheduling gates. Empty: it may.
	Held func(*framework.Pod) (by string)
	// Helps asks the plugins that rejected the pod whether the event could make it
	// schedulable.
	Helps func(*Item, framework.Event) bool
	// InitialBackoff doubles with every failure up to MaxBackoff. No maximum, no back-off.
	InitialBackoff, MaxBackoff time.Duration
	// MaxWait is how long a pod stays unschedulable without another look.
	MaxWait time.Duration
}

// A Queue holds the pods that wait for a node. Make it with [New].
type Queue struct {
	Config

	items map[types.UID]*Item // all of them, also those in flight

	active, backingOff, erring heap
	unschedulable, held        map[types.UID]*Item

	deciding map[types.UID]int            // popped and not decided: where in happened its events begin
	changed  map[types.UID]*framework.Pod // what became of pods in flight; nil if they are gone
	happened []framework.Event            // since the earliest of deciding was popped

	entered map[Entry]int
}

// New returns an empty queue.
func New(c Config) *Queue {
	q := &Queue{Config: c, items: map[types.UID]*Item{}, unschedulable: map[types.UID]*Item{}, held: map[types.UID]*Item{},
		deciding: map[types.UID]int{}, changed: map[types.UID]*framework.Pod{}, entered: map[Entry]int{}}
	q.active.less = c.Less
	q.backingOff.less = earlier
	q.erring.less = earlier
	return q
}

func earlier(a, b *Item) bool { return a.due.Before(b.due) }

// Add puts in a pod that is not there yet. Twice is an update.
func (q *Queue) Add(pod *framework.Pod, now time.Time) {
	if item := q.items[pod.UID]; item != nil {
		q.replace(item, pod)
		return
	}
	item := &Item{Pod: pod, Added: now, Since: now}
	q.items[pod.UID] = item
	if q.Held(pod) != "" {
		q.put(item, held, podAdded)
		return
	}
	q.put(item, active, podAdded)
}

// Update replaces a pod with a newer version of it, which may help it.
func (q *Queue) Update(pod *framework.Pod, now time.Time) {
	item := q.items[pod.UID]
	if item == nil {
		q.Add(pod, now)
		return
	}
	change := framework.SelfUpdated(q.newest(item), pod)
	q.replace(item, pod)
	switch {
	case item.place == inFlight:
		q.keep(change)
	case item.place == held && q.Held(pod) == "":
		q.leave(item)
		item.Added, item.Since = now, now
		q.put(item, active, change.Action.String())
	case item.place == unschedulable && change.Action != 0 && q.Helps(item, change):
		q.leave(item)
		q.requeue(item, change.Action.String(), now)
	}
}

func (q *Queue) newest(item *Item) *framework.Pod {
	if pod := q.changed[item.Pod.UID]; pod != nil {
		return pod
	}
	return item.Pod
}

// replace: whoever decides about the pod has the version it was popped with.
func (q *Queue) replace(item *Item, pod *framework.Pod) {
	if item.place == inFlight {
		q.changed[pod.UID] = pod
		return
	}
	item.Pod = pod
	if h := q.heap(item.place); h != nil {
		h.fix(item)
	}
}

// Delete takes a pod out: it is gone, or has a node. One that is in flight does not come back.
func (q *Queue) Delete(uid types.UID) {
	item := q.items[uid]
	switch {
	case item == nil:
	case item.place == inFlight:
		q.changed[uid] = nil
	default:
		q.leave(item)
		delete(q.items, uid)
	}
}

// Pop returns the pod to be decided about next, or nil. It is in flight from now
// on, until [Queue.Reject], [Queue.Fail] or [Queue.Done]. When nobody else waits, a
// pod need not back off to the end.
func (q *Queue) Pop() *Item {
	item := q.active.pop()
	if item == nil {
		if item = q.backingOff.pop(); item == nil {
			return nil
		}
		q.entered[Entry{active.String(), poppedEarly}]++
	}
	item.place = inFlight
	item.Attempts++
	q.deciding[item.Pod.UID] = len(q.happened)
	return item
}

// Decided says that a node has been found, so that no event is needed any more. The
// pod stays in flight until it is bound.
func (q *Queue) Decided(item *Item) {
	delete(q.deciding, item.Pod.UID)
	old := len(q.happened)
	for _, begin := range q.deciding {
		old = min(old, begin)
	}
	if old == 0 {
		return
	}
	q.happened = slices.Delete(q.happened, 0, old)
	for uid := range q.deciding {
		q.deciding[uid] -= old
	}
}

// Reject gives back a pod for which there was no node, because of these plugins. It
// waits for an event, unless that has come while the pod was decided about. waits is
// false if it has been taken out in the meantime.
func (q *Queue) Reject(item *Item, by []string, now time.Time) (waits bool) {
	begin := q.deciding[item.Pod.UID]
	if !q.back(item, by, now) {
		q.Decided(item)
		return false
	}
	helped := slices.ContainsFunc(q.happened[begin:], func(e framework.Event) bool { return q.Helps(item, e) })
	q.Decided(item)
	if helped {
		q.requeue(item, attemptFailed, now)
	} else {
		q.put(item, unschedulable, attemptFailed)
	}
	return true
}

// Fail gives back a pod whose attempt went wrong, by which nothing is said of the
// nodes. It backs off. waits is false if it has been taken out in the meantime.
func (q *Queue) Fail(item *Item, now time.Time) (waits bool) {
	q.Decided(item)
	if waits = q.back(item, nil, now); waits {
		q.requeue(item, attemptFailed, now)
	}
	return waits
}

// back makes of an item in flight one that waits, and says whether there still is such a pod.
func (q *Queue) back(item *Item, by []string, now time.Time) bool {
	uid := item.Pod.UID
	if pod, ok := q.changed[uid]; ok {
		delete(q.changed, uid)
		if pod == nil {
			delete(q.items, uid)
			return false
		}
		item.Pod = pod
	}
	if (len(by) == 0) != (len(item.RejectedBy) == 0) {
		item.failures = 0 // errors and rejections are counted each for themselves
	}
	item.RejectedBy, item.Since = by, now
	item.failures++
	item.due = now.Add(q.backoff(item.failures))
	return true
}

// Done says that a pod in flight has its node.
func (q *Queue) Done(item *Item) {
	q.Decided(item)
	delete(q.items, item.Pod.UID)
	delete(q.changed, item.Pod.UID)
}

// Happened moves the pods that the event could help.
func (q *Queue) Happened(e framework.Event, now time.Time) {
	q.keep(e)
	for _, item := range q.unschedulable {
		if q.Helps(item, e) {
			q.leave(item)
			q.requeue(item, e.Action.String(), now)
		}
	}
}

func (q *Queue) keep(e framework.Event) {
	if len(q.deciding) > 0 && e.Action != 0 {
		q.happened = append(q.happened, e)
	}
}

// often is how often pods are sought that have waited too long.
const often = 30 * time.Second

// Advance moves the pods whose time has come, and returns when it is to be called
// again at the latest, unless [Queue.Due] is earlier by then.
func (q *Queue) Advance(now time.Time) (next time.Time) {
	for _, h := range []*heap{&q.backingOff, &q.erring} {
		for len(h.items) > 0 && !h.items[0].due.After(now) {
			q.put(h.pop(), active, backedOff)
		}
	}
	next = now.Add(often)
	for _, item := range q.unschedulable {
		end := item.Since.Add(q.MaxWait)
		if !end.After(now) {
			q.leave(item)
			q.requeue(item, waitedLongEnough, now)
		} else if end.Before(next) {
			next = end
		}
	}
	if due, ok := q.Due(); ok && due.Before(next) {
		next = due
	}
	return next
}

// Due is when the next pod has backed off, if there is one.
func (q *Queue) Due() (due time.Time, ok bool) {
	for _, h := range []*heap{&q.backingOff, &q.erring} {
		if len(h.items) > 0 && (!ok || h.items[0].due.Before(due)) {
			due, ok = h.items[0].due, true
		}
	}
	return due, ok
}

// requeue makes a pod active, at once or when it has backed off.
func (q *Queue) requeue(item *Item, event string, now time.Time) {
	switch {
	case !item.due.After(now):
		q.put(item, active, event)
	case len(item.RejectedBy) == 0:
		q.put(item, erring, event)
	default:
		q.put(item, backingOff, event)
	}
}

// put gives an item that is nowhere its place.
func (q *Queue) put(item *Item, p place, event string) {
	item.place = p
	q.entered[Entry{p.String(), event}]++
	if h := q.heap(p); h != nil {
		h.push(item)
	} else {
		q.pool(p)[item.Pod.UID] = item
	}
}

func (q *Queue) leave(item *Item) {
	if h := q.heap(item.place); h != nil {
		h.remove(item)
	} else {
		delete(q.pool(item.place), item.Pod.UID)
	}
	item.place = nowhere
}

func (q *Queue) heap(p place) *heap {
	switch p {
	case active:
		return &q.active
	case backingOff:
		return &q.backingOff
	case erring:
		return &q.erring
	}
	return nil
}

func (q *Queue) pool(p place) map[types.UID]*Item {
	if p == held {
		return q.held
	}
	return q.unschedulable
}

// backoff is how long a pod waits after so many failures in a row.
func (q *Queue) backoff(failures int) time.Duration {
	d := q.InitialBackoff
	for i := 1; i < failures && d < q.MaxBackoff; i++ {
		d *= 2
	}
	return min(d, q.MaxBackoff)
}
