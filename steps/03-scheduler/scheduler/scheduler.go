// Package scheduler finds nodes for pods, one pod after the other.
//
// It is a loop of four lines: take the pod whose turn it is, look at the cluster as
// it is now, decide, and write the name of the node into the pod. The decision is a
// function (package decide), the turn is a data structure (package queue), and the
// cluster is a cache (package cache). What is left for this package is to keep
// things true while all of them are at work at once.
//
// Deciding is done by one goroutine, because each decision has to see the one before
// it. Writing is not waited for: the pod is assumed to be on its node, and the next
// decision begins while the bind is under way. These races are closed, and by whom:
//
//   - Two decisions of this scheduler give away the same room: the assumption.
//   - A bind's answer is lost, so that the pod may have its node or not: the bind is
//     asked for again until there is an answer, and until then the room is taken.
//   - Two schedulers take the same pod: the API server binds a pod once, and refuses
//     the second with a conflict.
//   - A scheduler that has lost its lease still binds: it notices, and gives up its
//     requests, seconds before another may take the lease. One that stops keeps it
//     until its last bind is answered.
//   - The next one has the lease before its watch shows that last bind: it waits
//     until its cache has what the API server has.
//   - Two active schedulers, of different names, give away the same room on one node:
//     neither sees the other's decision before its informer does, and no API can
//     say "if the node still has room". The kubelet is the judge of that: it admits
//     the first pod and fails the second (OutOfcpu; package admission of step 01).
//     A failed pod counts for nothing, here as there, and whoever owns it makes
//     another.
//
// Upstream: pkg/scheduler/schedule_one.go and eventhandlers.go.
package scheduler

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/cache"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/decide"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/preempt"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/queue"
)

// A Profile is how the pods of one scheduler name are scheduled.
type Profile struct {
	decide.Profile

	PreEnqueue []framework.PreEnqueuePlugin
	Sort       framework.QueueSortPlugin
	Preemption *preempt.Options // nil: nobody is preempted

	Recorder events.EventRecorder // of events that are this scheduler's
}

// hint returns what the plugin knows about events, nil if it knows nothing.
func (p *Profile) hint(plugin string) framework.QueueingHint {
	for _, f := range p.Filters {
		if f.Name() == plugin {
			hint, _ := f.(framework.QueueingHint)
			return hint
		}
	}
	return nil
}

// An Observer is told of every attempt.
type Observer interface {
	// Attempted: result is "scheduled", "unschedulable" or "error", as upstream's
	// metrics have it.
	Attempted(profile, result string, item *queue.Item, took time.Duration)
	// Decided has the decision, which is not changed any more, and how long it took
	// from the snapshot until it was clear what becomes of the pod.
	Decided(d *decide.Decision, took time.Duration)
	// Ran says how long an extension point took that is no part of a decision:
	// PostFilter or Bind.
	Ran(profile, point string, code framework.Code, took time.Duration)
	// Preempted says how many pods an attempt to make room will end.
	Preempted(victims int)
}

// A Config is what a scheduler works with.
type Config struct {
	Client    kubernetes.Interface
	Informers informers.SharedInformerFactory // made by Informers
	Profiles  map[string]*Profile             // by their name
	Lists     *Lists
	Observer  Observer
	Log       *slog.Logger
	Clock     clock.WithTicker

	// A pod that found no node waits this long, and twice as long each time up to the
	// maximum.
	InitialBackoff, MaxBackoff time.Duration

	// Writes is how many requests to the API server may be under way at once.
	Writes int
}

// A Scheduler schedules the pods that name one of its profiles. Make it with [New].
type Scheduler struct {
	Config

	cache    *cache.Cache
	queue    *queue.Shared
	knows    chan struct{} // closed when Watch has told of all there is
	snapshot framework.Snapshot
	from     decide.From
	writers  *crew // of requests to the API server
}

// maxWait is how long a pod is not looked at when nothing happens that helps it.
const maxWait = 5 * time.Minute

// New returns a scheduler that knows of nothing yet. There is at least one profile.
func New(c Config) *Scheduler {
	s := &Scheduler{Config: c, cache: cache.New(), knows: make(chan struct{}), writers: newCrew(c.Writes)}
	s.from.Known, s.from.Now = &decide.Known{}, time.Now
	s.from.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	sort := slices.Collect(maps.Values(s.Profiles))[0].Sort // all have the same
	s.queue = queue.NewShared(queue.Config{
		Less: func(a, b *queue.Item) bool {
			return sort.Less(framework.Queued{Pod: a.Pod, Since: a.Since}, framework.Queued{Pod: b.Pod, Since: b.Since})
		},
		Held:           s.held,
		Helps:          s.helps,
		InitialBackoff: s.InitialBackoff,
		MaxBackoff:     s.MaxBackoff,
		MaxWait:        maxWait,
	}, s.Clock)
	return s
}

// Pending says how many pods wait.
func (s *Scheduler) Pending() queue.Count { return s.queue.Count() }

// State is what the scheduler has in mind at the moment.
func (s *Scheduler) State() State {
	state := State{Pending: s.queue.Count(), Entered: s.queue.Entered(), Rejections: s.queue.Rejections(), Cache: s.cache.Size(), Writing: len(s.writers.busy)}
	maps.DeleteFunc(state.Rejections, func(r queue.Rejection, _ int) bool { return r.Plugin == noNodes })
	return state
}

// A State is what a scheduler has in mind.
type State struct {
	Pending    queue.Count
	Entered    map[queue.Entry]int
	Rejections map[queue.Rejection]int
	Cache      cache.Size
	Writing    int // requests to the API server, most of them binds
}

// Busy says whether pods are being decided about or bound.
func (s *Scheduler) Busy() bool { return len(s.writers.busy) > 0 || s.Pending().Active > 0 }

// Run schedules pods until ctx is done, and what it has begun then has ended: it has
// been answered, or no answer has come for a while, or the right to write is lost, and
// so holding is done. Run is called once, while Watch runs.
func (s *Scheduler) Run(ctx, holding context.Context) error {
	writing, giveUp := context.WithCancel(holding)
	defer giveUp()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(bindTimeout, giveUp) })()
	defer s.writers.dismiss()
	select {
	case <-ctx.Done():
		return nil
	case <-s.knows:
	}
	if err := s.catchUp(ctx); err != nil {
		return nil // it is over before it has begun
	}
	var moving sync.WaitGroup
	defer moving.Wait()
	moving.Go(func() { s.queue.Run(ctx) })
	for item := s.queue.Pop(); item != nil; item = s.queue.Pop() {
		s.schedule(writing, item)
	}
	return nil
}

// schedule is one attempt at one pod.
func (s *Scheduler) schedule(ctx context.Context, item *queue.Item) {
	pod, profile, begin := item.Pod, s.Profiles[item.Pod.Spec.SchedulerName], time.Now()
	if pod.Terminating() {
		profile.Recorder.Eventf(pod.Pod, nil, corev1.EventTypeWarning, "FailedScheduling", "Scheduling", "skip schedule deleting pod: %v/%v", pod.Namespace, pod.Name)
		s.queue.Done(item)
		return
	}
	s.cache.Update(&s.snapshot)
	decision := decide.Decide(&s.snapshot, s.nominated(pod), &profile.Profile, s.from)
	s.from.Start += decision.Looked
	if decision.Err != nil {
		s.reject(ctx, item, profile, decision, begin)
		return
	}
	s.Observer.Decided(decision, time.Since(begin))
	if err := s.cache.Assume(pod, decision.Node); err != nil {
		s.Log.Debug("somebody else was faster", "err", err)
		s.queue.Fail(item)
		return
	}
	s.queue.Decided(item)
	s.writers.do(func() { s.bind(ctx, item, profile, decision.Node, begin) })
}

// held names the plugin that keeps a pod from the queue, if one does.
func (s *Scheduler) held(pod *framework.Pod) (by string) {
	for _, p := range s.Profiles[pod.Spec.SchedulerName].PreEnqueue {
		if !p.PreEnqueue(pod).OK() {
			return p.Name()
		}
	}
	return ""
}

// helps asks the plugins that rejected a pod whether an event could help it.
func (s *Scheduler) helps(item *queue.Item, e framework.Event) bool {
	if len(item.RejectedBy) == 0 || e.Action == framework.Anything {
		return true
	}
	profile := s.Profiles[item.Pod.Spec.SchedulerName]
	for _, name := range item.RejectedBy {
		hint := profile.hint(name)
		if hint == nil || hint.Helps(item.Pod, e) {
			return true
		}
	}
	return false
}
