package podshim

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/steps/00-container/container"
	"github.com/k8s-groundup/groundup/steps/00-container/crilog"
	"github.com/k8s-groundup/groundup/steps/00-container/pause"
	"github.com/k8s-groundup/groundup/steps/00-container/shim"
)

// ends are our ends of what a container reads and writes, in the order in
// which they hang on the rack.
type ends struct {
	stdin, stdout, stderr *os.File // pipes
	console               *os.File // or a terminal
	flight                [2]*os.File
	pidfd                 *os.File
}

func (e *ends) files() []*os.File {
	return []*os.File{e.stdin, e.stdout, e.stderr, e.console, e.flight[0], e.flight[1], e.pidfd}
}

// outputs are the files to copy from, by stream.
func (e *ends) outputs() map[string]*os.File {
	if e.console != nil {
		return map[string]*os.File{crilog.Stdout: e.console}
	}
	out := map[string]*os.File{}
	if e.stdout != nil {
		out[crilog.Stdout] = e.stdout
	}
	if e.stderr != nil {
		out[crilog.Stderr] = e.stderr
	}
	return out
}

// theirs are the container's ends. They are closed when it has been started.
type theirs struct {
	container.Stdio
	console *os.File // our end of the socket on which the terminal comes
}

func (t theirs) close() {
	for _, f := range []*os.File{t.In, t.Out, t.Err, t.Console, t.console} {
		if f != nil {
			f.Close()
		}
	}
}

// newEnds makes what the bundle asks for.
func newEnds(b shim.Bundle) (e *ends, t theirs, err error) {
	e = &ends{}
	defer func() {
		if err != nil {
			e.close()
			e.closeFlight()
			t.close()
		}
	}()
	if e.flight[0], e.flight[1], err = pipe(); err != nil {
		return e, t, err
	}
	if b.TTY {
		t.console, t.Console, err = shim.Socketpair()
		return e, t, err
	}
	if b.Stdin {
		if t.In, e.stdin, err = pipe(); err != nil {
			return e, t, err
		}
	}
	if e.stdout, t.Out, err = pipe(); err != nil {
		return e, t, err
	}
	e.stderr, t.Err, err = pipe()
	if err != nil {
		return e, t, err
	}
	// Ours are read without a thread waiting in each; theirs must block.
	return e, t, errors.Join(pollable(&e.stdout), pollable(&e.stderr))
}

// receiveConsole takes the terminal that libcontainer has made.
func (e *ends) receiveConsole(t theirs) (err error) {
	e.console, err = shim.ReceiveConsole(t.console)
	return err
}

// takeEnds gets them back from the rack. What is not there stays nil.
func takeEnds(r *pause.Rack, index int, b shim.Bundle) (*ends, error) {
	e := &ends{}
	slots := []**os.File{&e.stdin, &e.stdout, &e.stderr, &e.console, &e.flight[0], &e.flight[1], &e.pidfd}
	want := []bool{b.Stdin && !b.TTY, !b.TTY, !b.TTY, b.TTY, true, true, true}
	for i, slot := range slots {
		if !want[i] {
			continue
		}
		f, err := r.Take(index, i)
		if err != nil {
			return e, err
		}
		*slot = f
	}
	for _, f := range []**os.File{&e.stdout, &e.stderr, &e.console, &e.pidfd} {
		if *f == nil {
			continue
		}
		if err := pollable(f); err != nil {
			return e, err
		}
	}
	return e, nil
}

// close closes all but the in-flight pipe, which the copier owns.
func (e *ends) close() {
	for _, f := range []*os.File{e.stdin, e.stdout, e.stderr, e.console, e.pidfd} {
		if f != nil {
			f.Close()
		}
	}
}

func (e *ends) closeFlight() {
	for _, f := range e.flight {
		if f != nil {
			f.Close()
		}
	}
}

func pipe() (r, w *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	return os.NewFile(uintptr(fds[0]), "pipe"), os.NewFile(uintptr(fds[1]), "pipe"), nil
}

// pollable replaces a file by one that Go waits for in its poller.
func pollable(f **os.File) error {
	g, err := shim.Pollable(*f)
	if err != nil {
		return err
	}
	(*f).Close()
	*f = g
	return nil
}
