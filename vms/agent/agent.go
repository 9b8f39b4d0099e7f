// Package agent is the host's hand inside a virtual machine: it runs commands
// for the host and carries their streams over the wire.
//
// It runs as root under any init: under our own (see cmd/init), or as a systemd
// service. It needs no network. The machine has no Go; a program named go that
// the agent puts on the PATH asks the host to build instead.
package agent

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"syscall"

	"github.com/k8s-groundup/groundup/vms/wire"
)

// An Agent serves one host.
type Agent struct {
	conn *wire.Conn
	dir  string // its own files, see Directory
	log  *slog.Logger

	mu     sync.Mutex                // guards the fields below
	runs   map[int]*run              // that have not ended
	builds map[int]chan<- wire.Built // that wait for the host
	next   int                       // number of the next build
	group  sync.WaitGroup            // of the runs
}

// Directory is where the agent's socket and its go program are.
const Directory = "/run/groundup-agent"

// New returns an agent that speaks over conn and keeps its files in dir.
func New(conn *wire.Conn, dir string, log *slog.Logger) *Agent {
	return &Agent{conn: conn, dir: dir, log: log, runs: map[int]*run{}, builds: map[int]chan<- wire.Built{}}
}

// Run serves until the wire ends, and returns when every command has.
func (a *Agent) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer a.group.Wait()
	defer cancel()
	builder, err := a.listen()
	if err != nil {
		return err
	}
	defer builder.Close()
	for {
		m, err := a.conn.Receive()
		var bad *wire.BadLine
		if errors.As(err, &bad) {
			a.log.Warn("ignoring a line of the host", "error", bad)
			continue
		} else if err != nil {
			return err
		}
		a.handle(ctx, m)
	}
}

func (a *Agent) handle(ctx context.Context, m wire.Message) {
	switch {
	case m.Setup != nil:
		a.send(wire.Message{Ready: setup(*m.Setup)})
	case m.Start != nil:
		a.start(ctx, *m.Start)
	case m.Data != nil:
		if r := a.run(m.Data.Run); r != nil {
			r.feed(m.Data.Bytes)
		}
	case m.Signal != nil:
		if r := a.run(m.Signal.Run); r != nil {
			r.signal(syscall.Signal(m.Signal.Number))
		}
	case m.Built != nil:
		a.mu.Lock()
		answer := a.builds[m.Built.Number]
		a.mu.Unlock()
		if answer != nil {
			answer <- *m.Built
		}
	}
}

func (a *Agent) run(id int) *run {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.runs[id]
}

// send tells the host. When it can't, the wire has ended, and so does Run.
func (a *Agent) send(m wire.Message) {
	if err := a.conn.Send(m); err != nil {
		a.log.Error("cannot tell the host", "error", err)
	}
}
