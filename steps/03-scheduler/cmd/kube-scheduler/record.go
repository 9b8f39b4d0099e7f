package main

import (
	"context"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
)

// recorders send what schedulers say about pods to the API server.
type recorders struct{ events.EventBroadcaster }

func newRecorders(client kubernetes.Interface) recorders {
	sink := patient{&events.EventSinkImpl{Interface: client.EventsV1()}, make(chan struct{}, tellers)}
	return recorders{events.NewBroadcaster(sink)}
}

// of returns the recorder of one scheduler name.
func (r recorders) of(name string) events.EventRecorder { return r.NewRecorder(scheme.Scheme, name) }

// run sends events until ctx is done.
func (r recorders) run(ctx context.Context) error {
	if err := r.StartRecordingToSinkWithContext(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	r.Shutdown()
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

func (p patient) enter(ctx context.Context) error {
	select {
	case p.room <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p patient) Create(ctx context.Context, e *eventsv1.Event) (*eventsv1.Event, error) {
	if err := p.enter(ctx); err != nil {
		return nil, err
	}
	defer func() { <-p.room }()
	return p.EventSink.Create(ctx, e)
}

func (p patient) Update(ctx context.Context, e *eventsv1.Event) (*eventsv1.Event, error) {
	if err := p.enter(ctx); err != nil {
		return nil, err
	}
	defer func() { <-p.room }()
	return p.EventSink.Update(ctx, e)
}

func (p patient) Patch(ctx context.Context, old *eventsv1.Event, data []byte) (*eventsv1.Event, error) {
	if err := p.enter(ctx); err != nil {
		return nil, err
	}
	defer func() { <-p.room }()
	return p.EventSink.Patch(ctx, old, data)
}
