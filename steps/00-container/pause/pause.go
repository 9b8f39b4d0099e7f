// Package pause is the process that holds a pod together.
//
// A Linux namespace exists while something is in it. The pause process is in
// the pod's namespaces and does nothing, so that containers can come and go.
// When the pod shares its PID namespace it is PID 1 there and reaps orphans.
//
// It does one thing more: it is the pod's [Rack], on which the shim hangs the
// file descriptors that must not go when the shim goes — the read ends of the
// containers' log pipes, the masters of their terminals. A pipe whose read end
// is kept loses no data and kills no writer.
//
// The process itself is C (pause.c), a constructor of the shim's own binary.
package pause

// #cgo CFLAGS: -Wall -Os
import "C"

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// Options say which namespaces the pod has for itself. The others are the node's.
type Options struct {
	Dir           string                 // an empty directory
	Net, IPC, PID bool                   // UTS goes with Net
	UIDs, GIDs    []syscall.SysProcIDMap // a user namespace, if there are any
	Cgroup        func(pid int) error    // puts the process into its cgroup before it is used
}

// A Process is a pause process that we have started, and are the parent of.
type Process struct {
	PID  int
	Rack *Rack
	cmd  *exec.Cmd
	stay io.WriteCloser // its standard input
}

// Start starts a pause process. It dies with us until it has been settled.
func Start(o Options) (*Process, error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	receiver, sender := os.NewFile(uintptr(pair[0]), "rack"), os.NewFile(uintptr(pair[1]), "rack")
	defer receiver.Close()
	p := &Process{Rack: &Rack{sender: sender}, cmd: &exec.Cmd{
		Path:       "/proc/self/exe",
		Args:       []string{"/pause"}, // as in upstream's image
		Dir:        o.Dir,
		Env:        []string{},
		ExtraFiles: []*os.File{receiver, sender},
		SysProcAttr: &syscall.SysProcAttr{
			Setsid:                     true,
			Cloneflags:                 o.cloneflags(),
			UidMappings:                o.UIDs,
			GidMappings:                o.GIDs,
			GidMappingsEnableSetgroups: true, // it drops its groups itself
		},
	}}
	if o.UIDs != nil {
		// Be root in there, or exec takes the capabilities away.
		p.cmd.SysProcAttr.Credential = &syscall.Credential{NoSetGroups: true}
	}
	if err := p.start(o); err != nil {
		sender.Close()
		return nil, fmt.Errorf("start the pause process: %w", err)
	}
	return p, nil
}

func (p *Process) start(o Options) error {
	report, reportW, err := os.Pipe()
	if err != nil {
		return err
	}
	defer report.Close()
	p.cmd.Stdout, p.cmd.Stderr = reportW, reportW
	if p.stay, err = p.cmd.StdinPipe(); err == nil {
		err = p.cmd.Start()
	}
	reportW.Close()
	if err != nil {
		return err
	}
	p.PID = p.cmd.Process.Pid
	p.Rack.pid = p.PID
	err = o.Cgroup(p.PID)
	said, err2 := readReport(report)
	if err = errors.Join(err, err2); err == nil && said != "ok" {
		err = errors.New(said)
	}
	if err != nil {
		err = errors.Join(err, p.Kill())
	}
	return err
}

// readReport reads "ok", or what went wrong.
func readReport(r io.Reader) (string, error) {
	var buf [256]byte
	n, err := r.Read(buf[:])
	if err == io.EOF {
		err = errors.New("it died without a word")
	}
	return string(buf[:n]), err
}

// Settle tells the process to stay when we die. Call it when somebody else
// could find it then.
func (p *Process) Settle() error {
	_, err := p.stay.Write([]byte("stay"))
	return errors.Join(err, p.stay.Close())
}

// Wait waits until the process has ended, and reaps it.
func (p *Process) Wait() { p.cmd.Wait() }

// Kill ends a process for which nobody waits.
func (p *Process) Kill() error {
	err := p.cmd.Process.Kill()
	p.Wait()
	return err
}

func (o Options) cloneflags() uintptr {
	flags := uintptr(syscall.CLONE_NEWNS)
	for flag, want := range map[uintptr]bool{
		syscall.CLONE_NEWNET:  o.Net,
		syscall.CLONE_NEWUTS:  o.Net,
		syscall.CLONE_NEWIPC:  o.IPC,
		syscall.CLONE_NEWPID:  o.PID,
		syscall.CLONE_NEWUSER: o.UIDs != nil,
	} {
		if want {
			flags |= flag
		}
	}
	return flags
}
