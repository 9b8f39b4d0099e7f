package cri

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/shim"
	"github.com/k8s-groundup/groundup/steps/00-container/state"
)

// A broadcaster hands events to subscribers, and waits for none of them.
type broadcaster struct {
	mu   sync.Mutex // guards subs
	subs map[chan *runtimeapi.ContainerEventResponse]struct{}
}

const eventBuffer = 256

// Subscribe delivers container events until ctx is done, and then closes the
// channel. A subscriber that is too slow loses the oldest events; events are
// hints, and List has the truth.
func (s *Service) Subscribe(ctx context.Context) <-chan *runtimeapi.ContainerEventResponse {
	return s.events.subscribe(ctx)
}

func (b *broadcaster) subscribe(ctx context.Context) <-chan *runtimeapi.ContainerEventResponse {
	ch := make(chan *runtimeapi.ContainerEventResponse, eventBuffer)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subs == nil {
		b.subs = map[chan *runtimeapi.ContainerEventResponse]struct{}{}
	}
	b.subs[ch] = struct{}{}
	context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.subs, ch)
		close(ch)
	})
	return ch
}

func (b *broadcaster) wanted() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.subs) > 0
}

func (b *broadcaster) send(e *runtimeapi.ContainerEventResponse) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for ch := range b.subs {
		for sent := false; !sent; {
			select {
			case ch <- e:
				sent = true
			default:
				select {
				case <-ch: // the oldest
				default:
				}
			}
		}
	}
}

// publish tells what happened to a container, or to the sandbox itself, with
// how the whole pod is now.
func (s *Service) publish(sandbox, id string, kind runtimeapi.ContainerEventType) {
	if !s.events.wanted() {
		return
	}
	e := &runtimeapi.ContainerEventResponse{ContainerId: id, ContainerEventType: kind, CreatedAt: time.Now().UnixNano()}
	if sb, err := s.sandbox(sandbox); err == nil {
		e.PodSandboxStatus = s.sandboxStatus(sb)
		e.ContainersStatuses, _ = s.statuses(sandbox)
	}
	s.events.send(e)
}

// GetContainerEvents is Subscribe over gRPC.
func (s *Service) GetContainerEvents(_ *runtimeapi.GetEventsRequest, out grpc.ServerStreamingServer[runtimeapi.ContainerEventResponse]) error {
	for e := range s.Subscribe(out.Context()) {
		if err := out.Send(e); err != nil {
			return err
		}
	}
	return nil
}

// watched are the pods that Run looks after.
type watched struct {
	mu   sync.Mutex // guards the fields below
	ctx  context.Context
	work sync.WaitGroup
	pods map[string]struct{}
}

// rescan is how often Run looks for pods that another process has made.
const rescan = 5 * time.Second

// Run serves the streaming endpoints that Exec, Attach and PortForward hand
// out, and looks after the pods, until ctx is done. The other methods work
// without it; only the URLs, the events and the care for lost shims need it.
func (s *Service) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.watched.mu.Lock()
	s.watched.ctx, s.watched.pods = ctx, map[string]struct{}{}
	s.watched.mu.Unlock()
	served := make(chan error, 1)
	go func() { served <- s.streams.serve(ctx) }()
	tick := time.NewTicker(rescan)
	defer tick.Stop()
	for {
		all, err := s.allSandboxes()
		if err != nil {
			s.log.Error("look for sandboxes", "err", err)
		}
		for _, sb := range all {
			if s.isReady(sb) {
				s.watch(sb.ID)
			}
		}
		select {
		case <-tick.C:
		case err = <-served:
			cancel()
			s.watched.work.Wait()
			return err
		}
	}
}

// watch looks after one pod, while Run runs: it tells of containers that end,
// and replaces a shim that dies.
func (s *Service) watch(sandbox string) {
	w := &s.watched
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.pods[sandbox]; ok || w.ctx == nil || w.ctx.Err() != nil {
		return
	}
	w.pods[sandbox] = struct{}{}
	w.work.Go(func() {
		s.watchPod(w.ctx, sandbox)
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.pods, sandbox)
	})
}

func (s *Service) watchPod(ctx context.Context, sandbox string) {
	ended := map[string]bool{}
	tell := func(id string) {
		if !ended[id] {
			ended[id] = true
			s.publish(sandbox, id, runtimeapi.ContainerEventType_CONTAINER_STOPPED_EVENT)
		}
	}
	// What had ended before we came is no news.
	containers, _ := s.containersOf(sandbox)
	for _, c := range containers {
		ended[c.ID] = s.exit(c) != nil
	}
	for ctx.Err() == nil {
		client, err := s.shim(ctx, sandbox)
		if err == nil {
			err = client.Watch(ctx, func() { s.tellEnded(sandbox, tell) }, func(id string, _ state.Exit) { tell(id) })
		}
		sb, err2 := s.sandbox(sandbox)
		if err2 != nil || sb.Stage == stopped || !exists(s.dirs.RunPod(sandbox)+"/pause.json") {
			return
		}
		if ctx.Err() == nil && !errors.Is(err, shim.ErrGone) {
			s.log.Error("watch", "sandbox", sandbox, "err", err)
			return // the next rescan tries again
		}
	}
}

// tellEnded is for what ended while there was no shim to tell.
func (s *Service) tellEnded(sandbox string, tell func(string)) {
	containers, _ := s.containersOf(sandbox)
	for _, c := range containers {
		if s.exit(c) != nil {
			tell(c.ID)
		}
	}
}
