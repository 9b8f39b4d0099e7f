// Package podshim is what a shim does: it is the parent of one pod's processes.
//
// It starts the pause process and the containers, copies their output into
// their logs, reaps them, and leaves a file that tells how each one ended. It
// decides nothing; package shim has the operations that a manager can ask for.
//
// It is a process that waits for days beside every pod, so it links little and
// gives back the memory that starting a container has used.
package podshim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/steps/00-container/pause"
	"github.com/k8s-groundup/groundup/steps/00-container/reaper"
	"github.com/k8s-groundup/groundup/steps/00-container/shim"
	"github.com/k8s-groundup/groundup/steps/00-container/state"
)

// A Server is the shim of one pod.
type Server struct {
	dir  string // the pod's run directory
	pod  shim.Pod
	rack *pause.Rack
	stop context.CancelFunc
	kids children

	mu       sync.Mutex // guards the fields below
	members  map[string]*member
	pausePID int
	watchers map[chan ended]struct{}
}

type ended struct {
	id   string
	exit state.Exit
}

// New takes over the pod whose run directory is dir, or starts it.
func New(dir string) (*Server, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, os.NewSyscallError("prctl", err)
	}
	s := &Server{dir: dir, members: map[string]*member{}, watchers: map[chan ended]struct{}{}}
	if err := state.Read(filepath.Join(dir, "pod.json"), &s.pod); err != nil {
		return nil, err
	}
	if err := reaper.Prepare(dir); err != nil {
		return nil, err
	}
	var p state.Process
	if err := state.Read(filepath.Join(dir, "pause.json"), &p); err == nil {
		return s, s.adopt(p)
	}
	return s, s.startPause()
}

// Run serves requests on the listener until one of them is to shut down. An
// error in startup is what it answers to all of them; then it returns.
func (s *Server) Run(listener net.Listener, startup error) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	s.stop = stop
	context.AfterFunc(ctx, func() { listener.Close() })
	var serving sync.WaitGroup
	defer serving.Wait()
	if startup == nil {
		serving.Go(func() { s.kids.reap(ctx) })
		serving.Go(func() { s.trim(ctx) })
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return startup
		}
		serving.Go(func() {
			c := shim.Conn{UnixConn: conn.(*net.UnixConn)}
			defer c.Close()
			defer context.AfterFunc(ctx, func() { c.Close() })()
			if startup != nil {
				c.Send(shim.Reply{Error: startup.Error()})
				stop()
				return
			}
			s.serve(c)
		})
	}
}

// serve answers one request.
func (s *Server) serve(c shim.Conn) {
	var req shim.Request
	files, err := c.Receive(&req)
	if err != nil {
		return // the client went away
	}
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if err := s.do(c, req, files); err != nil {
		c.Send(shim.Reply{Error: err.Error()})
	}
}

func (s *Server) do(c shim.Conn, req shim.Request, files []*os.File) error {
	switch req.Op {
	case shim.OpReady:
		return c.Send(shim.Reply{})
	case shim.OpSettled:
		s.kids.settled()
		return c.Send(shim.Reply{})
	case shim.OpShutdown:
		return s.shutdown(c)
	case shim.OpWatch:
		return s.watch(c)
	case shim.OpStart:
		return s.start(c, req.Container)
	case shim.OpAttach:
		return s.attach(c, req.Container, files)
	case shim.OpWait:
		return s.wait(c, req.Container)
	}
	k, err := s.running(req.Container)
	if err != nil {
		return err
	}
	switch req.Op {
	case shim.OpExec:
		return s.exec(c, k, req, files)
	case shim.OpSignal:
		err = k.signal(unix.Signal(req.Signal))
	case shim.OpStdin:
		return k.sendStdin(c)
	case shim.OpCloseStdin:
		err = k.closeStdin()
	case shim.OpResize:
		err = k.resize(req.Width, req.Height)
	case shim.OpReopenLog:
		err = k.reopenLog()
	default:
		err = fmt.Errorf("unknown operation %q", req.Op)
	}
	if err != nil {
		return err
	}
	return c.Send(shim.Reply{})
}

// watch tells of every container that ends, until the client goes away.
func (s *Server) watch(c shim.Conn) error {
	events := make(chan ended, 64)
	s.mu.Lock()
	s.watchers[events] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.watchers, events)
		s.mu.Unlock()
	}()
	if err := c.Send(shim.Reply{}); err != nil {
		return nil
	}
	gone := closed(c)
	for {
		select {
		case e := <-events:
			if c.Send(shim.Reply{Container: e.id, Exit: &e.exit}) != nil {
				return nil
			}
		case <-gone:
			return nil
		}
	}
}

// announce tells the watchers. One that is far behind is passed over; it reads
// the exit files when it next looks.
func (s *Server) announce(e ended) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watchers {
		select {
		case w <- e:
		default:
		}
	}
}

// closed returns a channel that is closed when the client has closed its end.
func closed(c shim.Conn) <-chan struct{} {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		var b [1]byte
		c.Read(b[:])
	}()
	return gone
}

// shutdown ends the pause process, and with its answer this one. Containers
// whose end is on record are seen through to it.
func (s *Server) shutdown(c shim.Conn) error {
	s.mu.Lock()
	members := slices.Collect(maps.Values(s.members))
	s.mu.Unlock()
	for _, k := range members {
		if !k.isRunning() {
			continue
		}
		var exit state.Exit
		if err := state.Read(k.path("exit.json"), &exit); err != nil {
			return fmt.Errorf("container %s still runs", k.id)
		}
		<-k.done
	}
	if err := s.endPause(); err != nil {
		return err
	}
	defer s.stop()
	return c.Send(shim.Reply{})
}

// trim gives memory back to the node a moment after it was last needed.
func (s *Server) trim(ctx context.Context) {
	const quiet = 500 * time.Millisecond
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for {
		select {
		case <-s.kids.worked():
			timer.Reset(quiet)
		case <-timer.C:
			debug.FreeOSMemory()
		case <-ctx.Done():
			return
		}
	}
}

// running finds a container that has been started here.
func (s *Server) running(id string) (*member, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.members[id]
	if k == nil || !k.isStarted() {
		return nil, fmt.Errorf("container %s is not running", id)
	}
	return k, nil
}

var errEnded = errors.New("the container has ended")

func logError(what string, err error, args ...any) {
	if err != nil {
		slog.Error(what, append(args, "err", err)...)
	}
}
