package box

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/k8s-groundup/groundup/tools/lab/thread"
	"golang.org/x/sys/unix"
)

// Run runs a command inside the box with this cgroup and init, as root, with the given
// cmd's arguments and standard streams; cmd.Path is looked up in the box. It
// returns when the command has ended, with the error of [exec.Cmd.Run].
//
// It is nsenter(1) in a few lines: a thread joins the namespaces, and the child
// that it forks is born in them. The child is this program again for a moment;
// see [RunChild].
func Run(cgroup string, pid int, cmd *exec.Cmd) error {
	return thread.Run(func() error { return run(cgroup, pid, cmd) })
}

func run(cgroup string, pid int, cmd *exec.Cmd) error {
	v2, err := enterCgroups(cgroup)
	if err != nil {
		return fmt.Errorf("enter cgroup %s: %w", cgroup, err)
	}
	if v2 != nil {
		defer v2.Close()
		if cmd.SysProcAttr == nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{}
		}
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(v2.Fd())
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	// A thread that shares its working directory with others may not change
	// its mount namespace: setns(2).
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return err
	}
	const all = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC
	if err := unix.Setns(fd, all); err != nil {
		return fmt.Errorf("enter the namespaces of process %d: %w", pid, err)
	}
	path, err := LookPath(cmd.Args[0])
	if err != nil {
		return err
	}
	// The cgroup namespace comes last, in the new process: from inside of it
	// nobody may be moved in from outside (cgroup v2 with nsdelegate).
	cmd.Path, cmd.Err = "/proc/self/exe", nil
	cmd.Args = append([]string{enterArg0, path}, cmd.Args...)
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	if cmd.Env == nil {
		cmd.Env = Environ()
	}
	return cmd.Run()
}

// enterArg0 is to [Run] what childArg0 is to [Start]. Its arguments are the path
// of the command and the command's argument vector.
const enterArg0 = "groundup-enter"

// enter is the rest of [Run], in the new process. It returns only to say what
// went wrong.
func enter(path string, argv []string) error {
	runtime.LockOSThread() // the thread that changes its namespace is the one that execs
	ns, err := os.Open("/proc/1/ns/cgroup")
	if err != nil {
		return err
	}
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("enter the cgroup namespace: %w", err)
	}
	return fmt.Errorf("%s: %w", path, syscall.Exec(path, argv, os.Environ()))
}

// LookPath is exec.LookPath with a node's search path; the caller's thread is
// in the node already.
func LookPath(name string) (string, error) {
	if strings.Contains(name, "/") {
		return exec.LookPath(name)
	}
	for dir := range strings.SplitSeq(Path, ":") {
		if path, err := exec.LookPath(dir + "/" + name); err == nil {
			return path, nil
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

// Environ is the environment of a command in a box.
func Environ() []string {
	env := []string{"PATH=" + Path, "HOME=/root", "USER=root", "LANG=C.UTF-8"}
	if term := os.Getenv("TERM"); term != "" {
		env = append(env, "TERM="+term)
	}
	return env
}

// enterCgroups moves the calling thread into the box's cgroups, so that what it
// starts is counted, limited and killed with the box. That is a thing of v1,
// where a thread can be moved alone; for v2 it returns the directory that the
// new process is to be born in (clone3(2), CLONE_INTO_CGROUP).
func enterCgroups(cgroup string) (v2 *os.File, err error) {
	hs, err := hierarchies()
	if err != nil {
		return nil, err
	}
	for _, h := range hs {
		if h.fstype == "cgroup2" {
			if v2, err = os.Open(h.leaf(cgroup)); err != nil {
				return nil, err
			}
			continue
		}
		if err := os.WriteFile(filepath.Join(h.leaf(cgroup), "tasks"), []byte(strconv.Itoa(unix.Gettid())), 0); err != nil {
			return nil, err
		}
	}
	return v2, nil
}
