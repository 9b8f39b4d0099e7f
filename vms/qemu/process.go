package qemu

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// A Process is a machine that runs.
type Process struct {
	Agent   net.Conn // the host's end of the agent's port
	monitor *monitor
	cmd     *exec.Cmd
	done    chan struct{}
	err     error // valid when done is closed
	reset   bool  // valid when done is closed
}

// Start starts a machine, whose console goes to console until Done. The caller
// ends it by Kill.
func Start(c Config, console io.Writer) (*Process, error) {
	agent, theirAgent, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirAgent.Close()
	mon, theirMonitor, err := socketPair()
	if err != nil {
		agent.Close()
		return nil, err
	}
	defer theirMonitor.Close()

	p := &Process{Agent: agent, monitor: newMonitor(mon), done: make(chan struct{})}
	p.cmd = exec.Command(Program(), c.Args()...)
	p.cmd.Stdout = console
	p.cmd.ExtraFiles = []*os.File{theirAgent, theirMonitor}
	if c.Lock != nil {
		p.cmd.ExtraFiles = append(p.cmd.ExtraFiles, c.Lock)
	}
	// Of its own group: Ctrl-C is for us, and we decide. Pdeathsig: when we are
	// killed, so is the machine.
	p.cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	if err := p.launch(); err != nil {
		agent.Close()
		mon.Close()
		if errors.Is(err, exec.ErrNotFound) {
			return nil, fmt.Errorf("%w: vms/deps.sh installs it", err)
		}
		return nil, err
	}
	if c.Keep {
		// From here on it tells of events: whoever keeps a disk may boot it again. When
		// it has ended already, that is read too, but not while we have its end open.
		theirMonitor.Close()
		if err := p.greet(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *Process) greet() error {
	p.monitor.mu.Lock()
	err := p.monitor.negotiate()
	p.monitor.mu.Unlock()
	if err == nil {
		return nil
	}
	p.Kill()
	if why := p.Err(); why != nil {
		return why
	}
	return err
}

// launch starts the process from a thread that lives as long as it does: the
// death signal is sent when the *thread* that started a process ends, prctl(2).
func (p *Process) launch() error {
	var complaints bytes.Buffer
	p.cmd.Stderr = &complaints
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		err = p.cmd.Wait()
		if text := strings.TrimSpace(complaints.String()); text != "" && err != nil {
			err = fmt.Errorf("%w: %s", err, text)
		}
		p.err = err
		p.reset = p.monitor.rebooted()
		p.Agent.Close()
		p.monitor.close()
		close(p.done)
	}()
	return <-started
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is why the process ended, after Done.
func (p *Process) Err() error { return p.err }

// Rebooted says, after Done, whether the machine has ended in order to boot again.
// Only one whose disk is kept is asked.
func (p *Process) Rebooted() bool { return p.reset }

// Kill pulls the plug, and returns when the machine has gone. It may be called
// again.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// Pid is the process id of qemu.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Save keeps the whole state of the machine under a name: memory, devices and
// disks. It is lost with the machine.
func (p *Process) Save(name string) error { return p.monitor.human("savevm " + name) }

// Restore sets the machine back to what Save kept. What was on the way between
// agent and host is cut off anywhere.
func (p *Process) Restore(name string) error { return p.monitor.human("loadvm " + name) }

// socketPair returns a connection and, as a file for a child, its other end.
func socketPair() (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a pair of sockets: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return conn, theirs, nil
}
