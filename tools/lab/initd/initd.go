// Package initd is the first process of a node: it keeps the node's services
// running and reaps what nobody else waits for.
//
// An init has two duties that no other program has. The kernel makes it the
// parent of every process whose own parent has died, and a dead child stays a
// zombie until its parent asks how it ended; and it must not end, because then
// the kernel ends the machine. All else here, restarting a service that ended,
// is what systemd calls Restart=always.
//
// The services are read from one file, whole, at start and again at SIGHUP:
// what is new is started, what is gone is stopped, what has changed is
// restarted, the rest is left alone.
package initd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Service is a program that the node keeps running.
type Service struct {
	Name string   `json:"name"`
	Argv []string `json:"argv"`
	// Version is whatever identifies the program's build: a service whose
	// version has changed is restarted.
	Version string `json:"version,omitempty"`
}

func (s Service) equal(o Service) bool {
	return s.Name == o.Name && s.Version == o.Version && slices.Equal(s.Argv, o.Argv)
}

// A Status is what init knows of a service.
type Status struct {
	Name     string    `json:"name"`
	PID      int       `json:"pid,omitempty"` // 0 when it is not running
	Restarts int       `json:"restarts"`
	Failures int       `json:"failures,omitempty"` // how many of them are in a row
	Since    time.Time `json:"since"`              // of the start, or of the end when it is not running
	Last     string    `json:"last,omitempty"`     // how it ended last
	Version  string    `json:"version,omitempty"`
}

// Where an init finds and leaves its files.
const (
	ServicesFile = "/etc/groundup/services.json"
	StatusFile   = "/run/groundup-init/status.json"
	LogDir       = "/var/log"
)

// An Init runs the services of the file named Services. The zero values of the
// other fields mean the constants above.
type Init struct {
	Services, Status, Logs string
	Log                    *slog.Logger

	running map[string]*process
}

// A process is a service with what became of it.
type process struct {
	service  Service
	status   Status
	retry    time.Time // when to start it again; zero while it runs
	stopping bool
	stopBy   time.Time // when to kill it, if it is stopping
}

const (
	stopTimeout  = 10 * time.Second
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 5 * time.Second
	// steady is how long a service must run for its next failure to count as
	// the first one.
	steady = 10 * time.Second
)

// Run serves until SIGTERM, then stops the services and returns. Every process
// is started and reaped by this one goroutine, so no child can end unnoticed
// between its start and the note of its process id.
func (i *Init) Run() error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGCHLD, unix.SIGHUP, unix.SIGTERM, unix.SIGINT)
	defer signal.Stop(signals)
	i.running = map[string]*process{}
	if err := i.reload(); err != nil {
		return err
	}
	timer := time.NewTimer(time.Hour)
	for {
		i.tick(time.Now())
		if err := i.writeStatus(); err != nil {
			i.Log.Error("write status", "err", err)
		}
		timer.Reset(i.next(time.Now()))
		select {
		case <-timer.C:
		case s := <-signals:
			switch s {
			case unix.SIGCHLD:
				i.reap(time.Now())
			case unix.SIGHUP:
				if err := i.reload(); err != nil {
					i.Log.Error("services stay as they are", "err", err)
				}
			default:
				return i.shutdown(signals)
			}
		}
	}
}

func (i *Init) reload() error {
	b, err := os.ReadFile(i.Services)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = []byte("[]"), nil // a machine that was not told yet what it is for
	}
	if err != nil {
		return err
	}
	var want []Service
	if err := json.Unmarshal(b, &want); err != nil {
		return fmt.Errorf("read %s: %w", i.Services, err)
	}
	i.converge(want, time.Now())
	return nil
}

// converge makes want the set of services.
func (i *Init) converge(want []Service, now time.Time) {
	for name, p := range i.running {
		k := slices.IndexFunc(want, func(s Service) bool { return s.Name == name })
		if k < 0 || !want[k].equal(p.service) {
			i.stop(p, now)
		}
	}
	for _, s := range want {
		if p := i.running[s.Name]; p == nil {
			i.running[s.Name] = &process{service: s, retry: now, status: Status{Name: s.Name, Version: s.Version}}
		} else if p.stopping || !s.equal(p.service) {
			// It comes back, as the new one, when the old one has ended.
			p.service, p.status.Version, p.retry = s, s.Version, now
		}
	}
}

// stop asks a service to end; tick makes it.
func (i *Init) stop(p *process, now time.Time) {
	p.retry = time.Time{}
	if p.status.PID == 0 {
		delete(i.running, p.service.Name)
		return
	}
	i.Log.Info("stopping", "service", p.service.Name, "pid", p.status.PID)
	p.stopping, p.stopBy = true, now.Add(stopTimeout)
	unix.Kill(p.status.PID, unix.SIGTERM)
}

// tick does what is due.
func (i *Init) tick(now time.Time) {
	for _, p := range i.running {
		if p.stopping && p.status.PID != 0 && !now.Before(p.stopBy) {
			i.Log.Warn("killing: it did not stop", "service", p.service.Name, "after", stopTimeout)
			unix.Kill(p.status.PID, unix.SIGKILL)
			p.stopBy = now.Add(stopTimeout)
		}
		if p.status.PID == 0 && !p.retry.IsZero() && !now.Before(p.retry) {
			i.start(p, now)
		}
	}
}

// next is how long nothing is due.
func (i *Init) next(now time.Time) time.Duration {
	next := now.Add(time.Hour)
	for _, p := range i.running {
		if p.status.PID == 0 && !p.retry.IsZero() && p.retry.Before(next) {
			next = p.retry
		}
		if p.stopping && p.stopBy.Before(next) {
			next = p.stopBy
		}
	}
	return max(next.Sub(now), 0)
}

func (i *Init) start(p *process, now time.Time) {
	p.status.Since = now
	pid, err := i.spawn(p.service)
	if err != nil {
		i.Log.Error("start", "service", p.service.Name, "err", err)
		p.status.Last = err.Error()
		p.failed(now)
		return
	}
	i.Log.Info("started", "service", p.service.Name, "pid", pid)
	p.status.PID, p.retry = pid, time.Time{}
}

// spawn starts the program in a session of its own, its output appended to its
// log file.
func (i *Init) spawn(s Service) (int, error) {
	log, err := os.OpenFile(filepath.Join(i.Logs, s.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	return syscall.ForkExec(s.Argv[0], s.Argv, &syscall.ProcAttr{
		Dir:   "/",
		Env:   os.Environ(),
		Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
}

// reap asks for every child that has ended, ours or adopted. One SIGCHLD can
// stand for many.
func (i *Init) reap(now time.Time) {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		if err == unix.EINTR {
			continue
		}
		if pid <= 0 || err != nil {
			return
		}
		for _, p := range i.running {
			if p.status.PID == pid {
				i.ended(p, ws, now)
			}
		}
	}
}

func (i *Init) ended(p *process, ws unix.WaitStatus, now time.Time) {
	p.status.Last = describe(ws)
	i.Log.Info("ended", "service", p.service.Name, "pid", p.status.PID, "how", p.status.Last)
	ran := now.Sub(p.status.Since)
	p.status.PID, p.status.Since = 0, now
	switch {
	case p.stopping && p.retry.IsZero():
		delete(i.running, p.service.Name)
	case p.stopping: // it comes back, changed
		p.stopping, p.stopBy, p.status.Restarts, p.status.Failures = false, time.Time{}, 0, 0
	default:
		if ran >= steady {
			p.status.Failures = 0
		}
		p.failed(now)
	}
}

// failed has the service started again after a while.
func (p *process) failed(now time.Time) {
	p.retry = now.Add(backoff(p.status.Failures))
	p.status.Failures++
	p.status.Restarts++
}

func describe(ws unix.WaitStatus) string {
	if ws.Signaled() {
		return fmt.Sprintf("signal %d (%s)", ws.Signal(), ws.Signal())
	}
	return fmt.Sprintf("exit code %d", ws.ExitStatus())
}

// backoff is how long to wait before a service is started again after so many
// failures in a row.
func backoff(failures int) time.Duration {
	d := firstBackoff
	for range failures {
		if d *= 2; d >= maxBackoff {
			return maxBackoff
		}
	}
	return d
}

// shutdown stops every service and returns when they have ended.
func (i *Init) shutdown(signals <-chan os.Signal) error {
	i.converge(nil, time.Now())
	for len(i.running) > 0 {
		select {
		case <-signals:
			i.reap(time.Now())
		case <-time.After(i.next(time.Now())):
		}
		i.tick(time.Now())
	}
	return nil
}

// writeStatus replaces the status file, so that a reader sees all or nothing.
func (i *Init) writeStatus() error {
	all := make([]Status, 0, len(i.running))
	for _, p := range i.running {
		all = append(all, p.status)
	}
	slices.SortFunc(all, func(a, b Status) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	b, err := json.Marshal(all)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(i.Status), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(i.Status+".new", b, 0o644); err != nil {
		return err
	}
	return os.Rename(i.Status+".new", i.Status)
}
