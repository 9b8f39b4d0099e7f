package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/k8s-groundup/groundup/tools/lab/box"
	"github.com/k8s-groundup/groundup/tools/lab/initd"
	"golang.org/x/sys/unix"
)

// Init supervises by the program that is process 1 of a box, as an ordinary
// process in the background. Nobody starts it again after a reboot: `lab up`
// does.
type Init struct {
	Home string
}

// A supervisor process is named for ever by its id and its start.
type supervisor struct {
	PID   int
	Start string
}

func (i Init) pidFile() string { return filepath.Join(i.Home, "supervisor.json") }

func (i Init) process() (p supervisor, ok bool) {
	b, err := os.ReadFile(i.pidFile())
	if err != nil || json.Unmarshal(b, &p) != nil {
		return p, false
	}
	start, ok := box.StartTime(p.PID)
	return p, ok && start == p.Start
}

func (i Init) Running() bool {
	_, ok := i.process()
	return ok
}

func (i Init) Apply(services []initd.Service) error {
	b, err := json.MarshalIndent(services, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(initd.ServicesFile), 0o755); err != nil {
		return err
	}
	next := initd.ServicesFile + ".new"
	if err := os.WriteFile(next, b, 0o644); err != nil {
		return err
	}
	if err := os.Rename(next, initd.ServicesFile); err != nil {
		return err
	}
	if p, ok := i.process(); ok {
		return unix.Kill(p.PID, unix.SIGHUP)
	}
	return i.start()
}

func (i Init) start() error {
	console, err := os.OpenFile(filepath.Join(i.Home, "console.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer console.Close()
	cmd := exec.Command(Programs + "/bin/node-init")
	cmd.Env, cmd.Dir = box.Environ(), "/"
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	start, ok := box.StartTime(cmd.Process.Pid)
	if !ok {
		return fmt.Errorf("node-init ended at once: see %s", console.Name())
	}
	b, err := json.Marshal(supervisor{cmd.Process.Pid, start})
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(i.pidFile(), b, 0o644), cmd.Process.Release())
}

func (i Init) Services() ([]initd.Status, error) {
	b, err := os.ReadFile(initd.StatusFile)
	if err != nil {
		return nil, err
	}
	var all []initd.Status
	return all, json.Unmarshal(b, &all)
}

// stopTimeout is longer than the supervisor gives its services.
const stopTimeout = 15 * time.Second

func (i Init) Stop() error {
	if p, ok := i.process(); ok {
		if err := end(p.PID, stopTimeout); err != nil {
			return err
		}
	}
	logs, err := i.Services()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, s := range logs {
		if err := os.Remove(filepath.Join(initd.LogDir, s.Name+".log")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, path := range []string{i.pidFile(), filepath.Join(i.Home, "console.log")} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// end asks a process to stop, kills it when it takes too long, and returns when
// it is no more.
func end(pid int, patience time.Duration) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	} else if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	for deadline := time.Now().Add(patience); ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(max(time.Until(deadline), 0).Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case n == 1:
			return nil
		default:
			return box.Kill(pid, time.Now().Add(patience))
		}
	}
}

var _ Supervisor = Init{}
