package box

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// RunChild is called first in main by every program that calls [Start] or
// [Run], which start that same program again inside the namespaces. In the child
// it never returns.
func RunChild() {
	switch os.Args[0] {
	case enterArg0:
		fmt.Fprintln(os.Stderr, enter(os.Args[1], os.Args[2:]))
		os.Exit(126) // as a shell ends for a program that cannot be run
	case childArg0:
	default:
		return
	}
	report := os.NewFile(4, "report")
	unix.CloseOnExec(4)
	fmt.Fprint(report, child(os.NewFile(3, "config")))
	os.Exit(1)
}

// child turns the namespaces it finds itself in into a machine and then becomes
// that machine's init. It returns only to say what went wrong.
func child(config *os.File) error {
	// Namespaces belong to threads. exec ends the other threads, so whatever
	// this one is in by then, the init is in.
	runtime.LockOSThread()

	var c Config
	if err := json.NewDecoder(config).Decode(&c); err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	config.Close()
	// We are in our cgroups now, so they become the roots that this namespace
	// shows: from here on /proc/self/cgroup reads "/".
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("new cgroup namespace: %w", err)
	}
	if err := unix.Sethostname([]byte(c.Name)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	if err := mountRoot(c); err != nil {
		return err
	}
	argv0, err := exec.LookPath(c.Init[0])
	if err != nil {
		return fmt.Errorf("init: %w", err)
	}
	return fmt.Errorf("exec %s: %w", argv0, syscall.Exec(argv0, c.Init, os.Environ()))
}
