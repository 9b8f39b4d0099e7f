package podshim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/steps/00-container/container"
	"github.com/k8s-groundup/groundup/steps/00-container/shim"
	"github.com/k8s-groundup/groundup/steps/00-container/shim/logcopy"
	"github.com/k8s-groundup/groundup/steps/00-container/state"
)

// wait answers when the container has ended.
func (s *Server) wait(c shim.Conn, id string) error {
	var exit state.Exit
	if err := state.Read(s.member(id).path("exit.json"), &exit); err == nil {
		return c.Send(shim.Reply{Exit: &exit})
	}
	k := s.member(id)
	if !k.exists() {
		return fmt.Errorf("container %s has been removed", id)
	}
	select {
	case <-k.done:
		return c.Send(shim.Reply{Exit: k.exit})
	case <-closed(c):
		return nil
	}
}

// exec runs a process with the client's files and stays until it has ended. A
// client that goes away takes it along.
func (s *Server) exec(c shim.Conn, k *member, req shim.Request, files []*os.File) error {
	var spec specs.Process
	if err := json.Unmarshal(req.Process, &spec); err != nil {
		return err
	}
	stdio, err := execStdio(spec.Terminal, files)
	if err != nil {
		return err
	}
	oci, err := k.handle()
	if err != nil {
		return err
	}
	var p *container.Process
	var pid int
	err = s.kids.starts(func() (int, error) {
		if p, err = oci.Exec(&spec, stdio); err != nil {
			return 0, err
		}
		pid, err = p.PID()
		return pid, err
	})
	if err != nil {
		return err
	}
	for _, f := range files {
		f.Close() // the process has its own; our copies would keep pipes open
	}
	defer s.kids.ended(pid)
	pidfd, err := openPidfd(pid)
	if err != nil {
		return err
	}
	defer pidfd.Close()
	if err := c.Send(shim.Reply{PID: pid}); err != nil {
		unix.Kill(pid, unix.SIGKILL)
	}
	go func() {
		<-closed(c)
		unix.PidfdSendSignal(int(pidfd.Fd()), unix.SIGKILL, nil, 0)
	}()
	if err := waitPidfd(pidfd); err != nil {
		return err
	}
	code, err := p.Wait()
	if err != nil {
		return err
	}
	return c.Send(shim.Reply{Exit: &state.Exit{Code: code, At: time.Now()}})
}

// execStdio: with a terminal there is one file, the socket for its master;
// without, there are three.
func execStdio(terminal bool, files []*os.File) (container.Stdio, error) {
	switch {
	case terminal && len(files) == 1:
		return container.Stdio{Console: files[0]}, nil
	case !terminal && len(files) == 3:
		return container.Stdio{In: files[0], Out: files[1], Err: files[2]}, nil
	}
	return container.Stdio{}, fmt.Errorf("exec came with %d files", len(files))
}

// attach stays until the container has ended or the client has gone.
func (s *Server) attach(c shim.Conn, id string, files []*os.File) error {
	if len(files) != 2 {
		return fmt.Errorf("attach came with %d files", len(files))
	}
	gone := make(chan struct{})
	tap := &logcopy.Tap{Gone: sync.OnceFunc(func() { close(gone) })}
	var err error
	if tap.Stdout, err = shim.Pollable(files[0]); err != nil {
		return err
	}
	defer tap.Stdout.Close()
	if tap.Stderr, err = shim.Pollable(files[1]); err != nil {
		return err
	}
	defer tap.Stderr.Close()
	for _, f := range files {
		f.Close()
	}
	k := s.member(id)
	if err := k.addTap(tap); err != nil {
		return err
	}
	defer k.removeTap(tap)
	if err := c.Send(shim.Reply{}); err != nil {
		return nil
	}
	select {
	case <-gone:
		return c.Send(shim.Reply{})
	case <-closed(c):
		return nil
	}
}

func (k *member) addTap(t *logcopy.Tap) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.exit != nil:
		return errEnded
	case k.copier != nil:
		k.copier.Attach(t)
	default:
		k.taps = append(k.taps, t)
	}
	return nil
}

func (k *member) removeTap(t *logcopy.Tap) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.copier != nil {
		k.copier.Detach(t)
	}
}

func (k *member) handle() (*container.Container, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.c == nil || k.exit != nil {
		return nil, errEnded
	}
	return k.c, nil
}

func (k *member) signal(sig unix.Signal) error {
	c, err := k.handle()
	if errors.Is(err, errEnded) {
		return nil
	}
	return c.Signal(sig)
}

func (k *member) sendStdin(c shim.Conn) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.exit != nil {
		return errEnded
	}
	f := k.ends.stdin
	if k.ends.console != nil {
		f = k.ends.console
	}
	if f == nil {
		return c.Send(shim.Reply{})
	}
	return c.Send(shim.Reply{}, f)
}

// closeStdin closes our end and the one on the rack.
func (k *member) closeStdin() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.exit != nil || k.ends.stdin == nil {
		return nil
	}
	err := k.s.rack.Drop(k.index, 0)
	err = errors.Join(err, k.ends.stdin.Close())
	k.ends.stdin = nil
	return err
}

func (k *member) resize(width, height uint16) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.exit != nil || k.ends.console == nil {
		return nil
	}
	return shim.SetSize(k.ends.console, width, height)
}

func (k *member) reopenLog() error {
	k.mu.Lock()
	copier := k.copier
	k.mu.Unlock()
	if copier == nil {
		return errEnded
	}
	return copier.Reopen()
}
