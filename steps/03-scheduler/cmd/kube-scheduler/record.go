package main

import (
	"context"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
)

// recorders send what schedulers say about pods to the API server.
type recorders struct {
	events.EventBroadcaster
	sink *patient
}

func newRecorders(client kubernetes.Interface) recorders {
	sink := &patient{EventSink: &events.EventSinkImpl{Interface: client.EventsV1()}, room: make(chan struct{}, tellers)}
	return recorders{events.NewBroadcaster(sink), sink}
}

// of returns the recorder of one scheduler name.
func (r recorders) of(name string) events.EventRecorder { return r.NewRecorder(scheme.Scheme, name) }

// farewell is how long events may take that are under way at the end.
const farewell = 2 * time.Second

// run sends events until ctx is done.
func (r recorders) run(ctx context.Context) error {
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	if err := r.StartRecordingToSinkWithContext(sending); err != nil {
		return err
	}
	<-ctx.Done()
	r.Shutdown()
	late := time.After(farewell)
	for range tellers { // who has all the room has come after everybody else
		select {
		case r.sink.room <- struct{}{}:
		case <-late:
			return nil
		}
	}
	return nil
}

// tellers is how many events are sent at once. client-go would send all of them:
// a thousand pods that get their nodes in a second are a thousand requests beside
// the binds, which somebody waits for.
const tellers = 4

// patient is a sink into which only some events fit at a time.
type patient struct {
	events.EventSink
	room chan struct{}
}

func (p *patient) send(ctx context.Context, f func() (*eventsv1.Event, error)) (*eventsv1.Event, error) {
	select {
	case p.room <- struct{}{}:
		defer func() { <-p.room }()
		return f()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *patient) Create(ctx context.Context, e *eventsv1.Event) (*eventsv1.Event, error) {
	return p.send(ctx, func() (*eventsv1.Event, error) { return p.EventSink.Create(ctx, e) })
}

func (p *patient) Update(ctx context.Context, e *eventsv1.Event) (*eventsv1.Event, error) {
	return p.send(ctx, func() (*eventsv1.Event, error) { return p.EventSink.Update(ctx, e) })
}

func (p *patient) Patch(ctx context.Context, old *eventsv1.Event, data []byte) (*eventsv1.Event, error) {
	return p.send(ctx, func() (*eventsv1.Event, error) { return p.EventSink.Patch(ctx, old, data) })
}
