package agent

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"github.com/creack/pty"

	"github.com/k8s-groundup/groundup/vms/wire"
)

// A run is one command.
type run struct {
	cmd   *exec.Cmd
	stdin chan []byte // an empty piece is the end
	done  chan struct{}
}

// signal goes to all of the command's process group; a command on a terminal
// leads a session, and so a group, too.
func (r *run) signal(s syscall.Signal) { _ = syscall.Kill(-r.cmd.Process.Pid, s) }

// feed hands input to the command, unless it has ended.
func (r *run) feed(b []byte) {
	select {
	case r.stdin <- b:
	case <-r.done:
	}
}

// start runs a command, and reports its end.
func (a *Agent) start(ctx context.Context, s wire.Start) {
	cmd := exec.CommandContext(ctx, s.Args[0], s.Args[1:]...)
	cmd.Env, cmd.Dir = append(os.Environ(), s.Env...), s.Dir
	r := &run{cmd: cmd, stdin: make(chan []byte, 64), done: make(chan struct{})}
	cmd.Cancel = func() error { r.signal(syscall.SIGKILL); return nil }

	wait, err := a.launch(r, s)
	if err != nil {
		// 127 is what a shell says when it does not find a command.
		a.send(wire.Message{Exit: &wire.Exit{Run: s.Run, Code: 127, Error: err.Error()}})
		return
	}
	a.mu.Lock()
	a.runs[s.Run] = r
	a.mu.Unlock()
	a.group.Go(func() {
		code := wait()
		close(r.done)
		a.mu.Lock()
		delete(a.runs, s.Run)
		a.mu.Unlock()
		a.send(wire.Message{Exit: &wire.Exit{Run: s.Run, Code: code}})
	})
}

// launch starts the command with its streams, on a terminal or on pipes. What it
// returns waits until the command has ended and its output has been sent.
func (a *Agent) launch(r *run, s wire.Start) (wait func() int, err error) {
	if s.TTY != nil {
		return a.launchTTY(r, s)
	}
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r.cmd.Stdout = &stream{a, s.Run, wire.Stdout}
	r.cmd.Stderr = &stream{a, s.Run, wire.Stderr}
	stdin, err := r.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	go r.pour(stdin)
	return func() int { return exitCode(r.cmd.Wait()) }, nil
}

func (a *Agent) launchTTY(r *run, s wire.Start) (wait func() int, err error) {
	size := &pty.Winsize{Rows: s.TTY.Rows, Cols: s.TTY.Cols}
	terminal, err := pty.StartWithSize(r.cmd, size)
	if err != nil {
		return nil, err
	}
	go r.pour(nopCloser{terminal})
	var copied sync.WaitGroup
	copied.Go(func() { io.Copy(&stream{a, s.Run, wire.Stdout}, terminal) }) // EIO is its end
	return func() int {
		err := r.cmd.Wait()
		copied.Wait()
		terminal.Close()
		return exitCode(err)
	}, nil
}

// pour writes what the host sends, until its end or that of the command.
func (r *run) pour(to io.WriteCloser) {
	defer to.Close()
	for {
		select {
		case b := <-r.stdin:
			if len(b) == 0 {
				return
			}
			if _, err := to.Write(b); err != nil {
				return
			}
		case <-r.done:
			return
		}
	}
}

// A terminal is closed by who waits for the command, not by the end of input.
type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// A stream sends what is written to it to the host.
type stream struct {
	agent *Agent
	run   int
	id    wire.Stream
}

func (s *stream) Write(b []byte) (int, error) {
	err := s.agent.conn.Send(wire.Message{Data: &wire.Data{Run: s.run, Stream: s.id, Bytes: b}})
	return len(b), err
}

func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &exit):
		return 126
	}
	if status := exit.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}
