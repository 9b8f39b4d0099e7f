// Package recorder tells the API server, as events, what a scheduler has done.
//
// A bind is what a pod waits for; an event is news of it. So events stand back: each
// waits in a queue until nothing more important is under way, and no longer than
// two seconds. Its time is that of what happened, not of the telling. None is lost because
// others were in a hurry: where the queue is full, whoever has news waits for room.
//
// Upstream's peer, client-go/tools/events, has a goroutine for every event, sends all of
// them beside the binds, and drops what does not fit into its channels.
package recorder

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/record/util"
	"k8s.io/client-go/tools/reference"
)

const (
	// patience is how long an event stands back.
	patience = 2 * time.Second
	// look is how often an event that stands back looks whether it still has to.
	look = 5 * time.Millisecond
	// most is how many events wait. From the half on they stand back no more.
	most = 20_000
	// hopeless is how long somebody waits for room in the queue: a server that has taken
	// no event for so long takes none, and pods need their nodes.
	hopeless = 5 * time.Second
	// senders is how many requests are under way at once.
	senders = 32
	// farewell is how long events may take that have not been sent at the end.
	farewell = 2 * time.Second
)

// A Sink writes events.
type Sink interface {
	Create(ctx context.Context, e *eventsv1.Event) error
	// Patch tells how often the event has happened again. There may be no such event any more.
	Patch(ctx context.Context, e *eventsv1.Event) error
}

// A Config is what a recorder works with.
type Config struct {
	Sink   Sink
	Scheme *runtime.Scheme // of what events are about
	Busy   func() bool     // whether something more important is under way
	Log    *slog.Logger
}

// A Recorder sends what schedulers say about pods. Make it with [New].
type Recorder struct {
	Config
	instance string
	queue    chan *eventsv1.Event

	mu     sync.Mutex // guards series
	series map[key]*eventsv1.Event
}

// New returns a recorder that sends nothing before Run.
func New(c Config) *Recorder {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return &Recorder{Config: c, instance: host, queue: make(chan *eventsv1.Event, most), series: map[key]*eventsv1.Event{}}
}

// Of returns the recorder of one scheduler name.
func (r *Recorder) Of(name string) events.EventRecorder { return of{r, name} }

type of struct {
	*Recorder
	name string
}

// Eventf implements events.EventRecorder.
func (r of) Eventf(regarding, related runtime.Object, kind, reason, action, note string, args ...any) {
	e := &eventsv1.Event{
		EventTime:           metav1.NowMicro(),
		ReportingController: r.name,
		ReportingInstance:   r.name + "-" + r.instance,
		Action:              action,
		Reason:              reason,
		Note:                fmt.Sprintf(note, args...),
		Type:                kind,
	}
	about, err := reference.GetReference(r.Scheme, regarding)
	if err == nil && related != nil {
		e.Related, err = reference.GetReference(r.Scheme, related)
	}
	if err != nil {
		r.Log.Error("an event is about nothing that is known", "reason", reason, "note", e.Note, "err", err)
		return
	}
	e.Regarding = *about
	e.Name, e.Namespace = util.GenerateEventName(about.Name, e.EventTime.UnixNano()), about.Namespace
	if e.Namespace == "" {
		e.Namespace = metav1.NamespaceDefault
	}
	r.enqueue(e)
}

func (r *Recorder) enqueue(e *eventsv1.Event) {
	select {
	case r.queue <- e:
		return
	default:
	}
	select {
	case r.queue <- e:
	case <-time.After(hopeless):
		r.Log.Error("an event is dropped: the API server takes none", "pod", e.Regarding.Namespace+"/"+e.Regarding.Name, "reason", e.Reason, "waiting", len(r.queue))
	}
}

// Run sends events until ctx is done, and then those that wait, if that does not take
// too long.
func (r *Recorder) Run(ctx context.Context) error {
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(farewell, stop) })()
	var running sync.WaitGroup
	for range senders {
		running.Go(func() { r.send(ctx, sending) })
	}
	running.Go(func() { r.sweep(ctx, sending) })
	running.Wait()
	if n := len(r.queue); n > 0 {
		r.Log.Warn("events are not told any more", "events", n)
	}
	return nil
}

// send sends what is in the queue; once ctx is done, without standing back.
func (r *Recorder) send(ctx, sending context.Context) {
	for sending.Err() == nil {
		select {
		case e := <-r.queue:
			r.standBack(ctx, e)
			r.tell(sending, e)
			continue
		default:
		}
		select {
		case e := <-r.queue:
			r.standBack(ctx, e)
			r.tell(sending, e)
		case <-ctx.Done():
			return
		}
	}
}

func (r *Recorder) standBack(ctx context.Context, e *eventsv1.Event) {
	for r.Busy() && len(r.queue) < most/2 && time.Since(e.EventTime.Time) < patience {
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return
		}
	}
}

// tell writes an event, or counts it if it is one more of a series.
func (r *Recorder) tell(ctx context.Context, e *eventsv1.Event) {
	known, again := r.again(e)
	switch {
	case !again:
		r.insist(ctx, e, r.Sink.Create)
	case known != nil:
		r.insist(ctx, known, r.patch)
	}
}

// patch tells of a series, and of its beginning if the server has forgotten it, or has
// not heard of it yet: another sender may be telling of that at this moment.
func (r *Recorder) patch(ctx context.Context, e *eventsv1.Event) error {
	err := r.Sink.Patch(ctx, e)
	if apierrors.IsNotFound(err) {
		err = r.Sink.Create(ctx, e)
	}
	if apierrors.IsAlreadyExists(err) {
		err = r.Sink.Patch(ctx, e)
	}
	return err
}

const (
	tries   = 12
	timeout = 10 * time.Second
)

// insist repeats a write until the server has answered.
func (r *Recorder) insist(ctx context.Context, e *eventsv1.Event, write func(context.Context, *eventsv1.Event) error) {
	for try, pause := 1, 50*time.Millisecond; ; try, pause = try+1, min(2*pause, timeout) {
		err := limited(ctx, e, write)
		if err == nil || apierrors.IsAlreadyExists(err) { // an answer was lost
			return
		}
		if try == tries || !passing(err) || ctx.Err() != nil {
			r.Log.Error("tell of an event", "pod", e.Regarding.Namespace+"/"+e.Regarding.Name, "reason", e.Reason, "err", err)
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

func limited(ctx context.Context, e *eventsv1.Event, write func(context.Context, *eventsv1.Event) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return write(ctx, e)
}

// passing says whether an error may be none the next time.
func passing(err error) bool {
	status, answered := err.(apierrors.APIStatus)
	return !answered || status.Status().Code >= 500 || apierrors.IsTooManyRequests(err)
}

// A key is what the events of a series have in common.
type key struct {
	controller, action, reason string
	regarding, related         corev1.ObjectReference
}

// over is how long after its last event a series has ended.
const over = 6 * time.Minute

// again says whether an event has happened before. If the series is to be told of now,
// because this is the second one, known is what to tell; the others are only counted.
// Warnings alone are repeated: a pod gets its node once.
func (r *Recorder) again(e *eventsv1.Event) (known *eventsv1.Event, again bool) {
	if e.Type != corev1.EventTypeWarning {
		return nil, false
	}
	k := key{controller: e.ReportingController, action: e.Action, reason: e.Reason, regarding: e.Regarding}
	if e.Related != nil {
		k.related = *e.Related
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	first := r.series[k]
	if first == nil {
		r.series[k] = e.DeepCopy()
		return nil, false
	}
	if first.Series != nil {
		first.Series.Count++
		first.Series.LastObservedTime = e.EventTime
		return nil, true
	}
	first.Series = &eventsv1.EventSeries{Count: 2, LastObservedTime: e.EventTime}
	return first.DeepCopy(), true
}

// sweep tells now and then how long the series have become, and forgets those that
// are over.
func (r *Recorder) sweep(ctx, sending context.Context) {
	tick := time.NewTicker(over)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, e := range r.grown() {
				r.insist(sending, e, r.patch)
			}
		}
	}
}

func (r *Recorder) grown() (told []*eventsv1.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, e := range r.series {
		last := e.EventTime
		if e.Series != nil {
			last = e.Series.LastObservedTime
			told = append(told, e.DeepCopy())
		}
		if time.Since(last.Time) > over {
			delete(r.series, k)
		}
	}
	return told
}
