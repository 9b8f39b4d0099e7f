package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/vms/agent"
	"github.com/k8s-groundup/groundup/vms/wire"
)

// A Command to run in a machine, as root.
type Command struct {
	Args   []string
	Env    []string // added to the machine's own
	Dir    string   // /root if empty
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	TTY    *wire.Size // run it on a terminal: then all output is Stdout
}

// interruptGrace is how long an interrupted command may tidy up, and then how
// long a killed one may take to be gone.
const interruptGrace = 5 * time.Second

// Run runs a command and returns its exit code, 128+n when signal n killed it.
// When ctx ends, the command is interrupted, then killed, and the error is ctx's.
// Any other error means that the command could not be run, or the machine ended.
func (m *Machine) Run(ctx context.Context, c Command) (int, error) {
	id := m.number()
	messages := make(chan wire.Message, 64)
	m.mu.Lock()
	m.runs[id] = messages
	m.mu.Unlock()
	defer m.drop(id)

	if err := m.conn.Send(wire.Message{Start: &wire.Start{Run: id, Args: c.Args, Env: c.Env, Dir: c.Dir, TTY: c.TTY}}); err != nil {
		return -1, err
	}
	go m.feed(id, c.Stdin)
	interrupt := ctx.Done()
	var kill, leave <-chan time.Time
	for {
		select {
		case msg := <-messages:
			if msg.Exit != nil {
				return verdict(ctx, c, *msg.Exit)
			}
			if err := deliver(c, *msg.Data); err != nil {
				return -1, err
			}
		case <-interrupt:
			interrupt = nil
			kill = time.After(interruptGrace)
			m.signal(id, unix.SIGTERM)
		case <-kill:
			leave = time.After(interruptGrace)
			m.signal(id, unix.SIGKILL)
		case <-leave:
			return -1, ctx.Err()
		case <-m.process.Done():
			return -1, m.ended()
		}
	}
}

func verdict(ctx context.Context, c Command, e wire.Exit) (int, error) {
	if e.Error != "" {
		return e.Code, fmt.Errorf("%s: %s", c.Args[0], e.Error)
	}
	return e.Code, ctx.Err()
}

func deliver(c Command, d wire.Data) error {
	to := c.Stdout
	if d.Stream == wire.Stderr {
		to = c.Stderr
	}
	if to == nil {
		return nil
	}
	_, err := to.Write(d.Bytes)
	return err
}

// feed sends the input, and its end. It ends with the input, which may be after
// the command: a read from a terminal can't be called off.
func (m *Machine) feed(id int, from io.Reader) {
	buf := make([]byte, 16<<10)
	for from != nil {
		n, err := from.Read(buf)
		if n > 0 && m.conn.Send(wire.Message{Data: &wire.Data{Run: id, Bytes: buf[:n]}}) != nil {
			return
		}
		if err != nil {
			break
		}
	}
	_ = m.conn.Send(wire.Message{Data: &wire.Data{Run: id}}) // the machine may have ended
}

func (m *Machine) signal(id int, s unix.Signal) {
	_ = m.conn.Send(wire.Message{Signal: &wire.Signal{Run: id, Number: int(s)}}) // the machine may have ended
}

// read hands each message to whom it is for, until the machine ends.
func (m *Machine) read() {
	for {
		msg, err := m.conn.Receive()
		var bad *wire.BadLine
		if errors.As(err, &bad) {
			continue // cut off by a restore
		} else if err != nil {
			return
		}
		switch {
		case msg.Ready != nil:
			select {
			case m.ready <- *msg.Ready:
			default: // nobody waits for two
			}
		case msg.Data != nil:
			m.hand(msg.Data.Run, msg)
		case msg.Exit != nil:
			m.hand(msg.Exit.Run, msg)
		case msg.Build != nil:
			m.group.Go(func() { m.build(*msg.Build) })
		}
	}
}

// hand passes a message to its run. Those of runs that nobody waits for are lost.
func (m *Machine) hand(id int, msg wire.Message) {
	m.mu.Lock()
	to := m.runs[id]
	m.mu.Unlock()
	if to == nil {
		return
	}
	select {
	case to <- msg:
	case <-m.process.Done():
	}
}

func (m *Machine) drop(id int) {
	m.mu.Lock()
	to := m.runs[id]
	delete(m.runs, id)
	m.mu.Unlock()
	// The reader may be about to hand over one more.
	for {
		select {
		case <-to:
		default:
			return
		}
	}
}

// forget ends all runs with an error.
func (m *Machine) forget(why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, to := range m.runs {
		select {
		case to <- wire.Message{Exit: &wire.Exit{Run: id, Code: -1, Error: why.Error()}}:
		default:
		}
	}
}

// agentPath puts the machine's go program first, when there is an answer to it.
func agentPath(c Config) string {
	if c.Build == nil {
		return ""
	}
	return agent.Directory + "/bin"
}
