// Package box makes a node out of namespaces.
//
// A box is what a virtual machine would be, without the machine: one process
// tree with its own PID, mount, network, UTS, IPC and cgroup namespaces, and a
// root file system of its own in which the programs of this machine appear
// read-only. Its first process is an init, as on any Linux machine, and when
// that process is killed the kernel kills every other one and takes the mounts
// and interfaces away: a power cut.
//
// What is on the box's disk stays where it was, in [Config.Root], so a box that
// is started again on the same root is a machine that boots again.
package box

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Config describes a box. Paths on the left are this machine's.
type Config struct {
	Name   string   // host name of the box
	Cgroup string   // below the root of every hierarchy: "groundup/node-1"; made, with one parent, when missing
	Root   string   // directory of the box's own root file system; made when missing
	Binds  []Bind   // further directories of this machine that appear in the box
	Init   []string // argument vector of the first process, as seen inside the box
	Stdout string   // file that gets the console output of the box, appended to
}

// A Bind shows a directory of this machine in the box, read-only.
type Bind struct {
	Source string // on this machine
	Target string // in the box
}

// childArg0 is the argument vector's first element by which a program that
// calls [RunChild] knows that it was started as a box.
const childArg0 = "groundup-box"

// Start boots a box and returns the process id of its init. The box lives on
// when the caller ends. prepare is called with that process id when the
// namespaces exist and nothing runs in them yet: it is where the caller plugs
// the network cable in. After an error nothing is left of the box but its root
// directory.
func Start(c Config, prepare func(pid int) error) (pid int, err error) {
	if err := os.MkdirAll(c.Root, 0o755); err != nil {
		return 0, err
	}
	console, err := os.OpenFile(c.Stdout, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, err
	}
	defer console.Close()
	// The child reads its configuration when everything around it is ready, and
	// reports what went wrong; a successful exec closes the report unread.
	configR, configW, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer configW.Close()
	reportR, reportW, err := os.Pipe()
	if err != nil {
		configR.Close()
		return 0, err
	}
	defer reportR.Close()

	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{childArg0}
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + Path, "HOME=/root", "container=groundup"}
	cmd.Stdout, cmd.Stderr = console, console
	cmd.ExtraFiles = []*os.File{configR, reportW}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		Setsid:     true,
	}
	err = cmd.Start()
	configR.Close()
	reportW.Close()
	if err != nil {
		return 0, fmt.Errorf("make namespaces for %s: %w (this needs root)", c.Name, err)
	}
	pid = cmd.Process.Pid
	defer func() {
		if err != nil {
			cmd.Process.Kill()
			cmd.Wait()
			err = errors.Join(err, RemoveCgroups(c.Cgroup, time.Now().Add(5*time.Second)))
		}
	}()
	if err := joinCgroups(c.Cgroup, pid); err != nil {
		return 0, fmt.Errorf("cgroups of %s: %w", c.Name, err)
	}
	if err := prepare(pid); err != nil {
		return 0, err
	}
	if err := json.NewEncoder(configW).Encode(c); err != nil {
		return 0, fmt.Errorf("start %s: %w", c.Name, err)
	}
	configW.Close()
	report, err := io.ReadAll(reportR)
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", c.Name, err)
	}
	if len(report) > 0 {
		return 0, fmt.Errorf("start %s: %s", c.Name, report)
	}
	return pid, nil
}

// Path is the search path inside a box.
const Path = "/opt/groundup/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Booting says whether the process is one that Start has started and that is not the
// box's init yet: who enters it now finds the caller's files.
func Booting(pid int) bool {
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.HasPrefix(string(args), childArg0+"\x00")
}

// Kill ends the box: its init and with it, by the kernel, everything inside. It
// returns when all of it is gone, and succeeds when it was gone before.
func Kill(pid int, deadline time.Time) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	} else if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", pid, err)
	}
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("process %d is still there after SIGKILL: a task in uninterruptible sleep holds it (see /proc/%d/stack)", pid, pid)
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if n == 1 {
			// It is a child only when this process started it.
			unix.Wait4(pid, nil, unix.WNOHANG, nil)
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for process %d: %w", pid, err)
		}
	}
}

// StartTime is the moment the process started, in clock ticks since boot: with
// the process id it names a process for ever. ok is false when it has ended.
func StartTime(pid int) (ticks string, ok bool) {
	b, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "stat"))
	if err != nil {
		return "", false
	}
	// The second field is the command in parentheses and may hold anything.
	rest := string(b[strings.LastIndexByte(string(b), ')')+1:])
	fields := strings.Fields(rest)
	const state, start = 0, 19 // fields 3 and 22 of proc_pid_stat(5)
	if len(fields) <= start || fields[state] == "Z" || fields[state] == "X" {
		return "", false
	}
	return fields[start], true
}
