// Package reaper is the process above a shim, which outlives it.
//
// The kernel tells only the parent how a process ended, and forgets it when it
// has told. When a shim dies its containers get a new parent: the nearest
// ancestor that is a child subreaper (prctl(2), PR_SET_CHILD_SUBREAPER), or else
// PID 1 of the node, which would throw the answer away. So each shim has an
// ancestor of its own. It does nothing but wait, and when a process that the
// shim has announced (see [Expect]) ends, it writes the exit code into the file
// wait/PID of the pod's run directory before it reaps it. The next shim reads it
// there. A reaper ends when its shim and all that the shim left have ended.
//
// (A pidfd tells the same to anybody who holds it, but only since Linux 6.15:
// ioctl PIDFD_GET_INFO.)
//
// The process itself is C (reaper.c), a constructor of the shim's own binary,
// and costs a few pages. Package shim starts it.
package reaper

// #cgo CFLAGS: -Wall -Os
// #include "reaper.h"
import "C"

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Prepare makes the directory for the exit codes of a pod. It may be called
// again.
func Prepare(dir string) error { return os.MkdirAll(filepath.Dir(file(dir, 0)), 0o700) }

// Expect announces a process that was just started. Whoever had its PID before
// has been reaped, so what is on record under it is old.
func Expect(dir string, pid int) error { return os.WriteFile(file(dir, pid), nil, 0o600) }

// Forget takes back what Expect and Note have left.
func Forget(dir string, pid int) error {
	if err := os.Remove(file(dir, pid)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Note is what the reaper does, for a child of ours: it waits until the child
// has ended, and notes its exit code. Reap it afterwards, and the code is on
// record although we may be killed at any moment.
func Note(dir string, pid int) error {
	name := append([]byte(dir), 0)
	errno := C.reaper_note((*C.char)(unsafe.Pointer(&name[0])), C.int(pid))
	if errno != 0 {
		return fmt.Errorf("note how process %d ended: %w", pid, syscall.Errno(errno))
	}
	return nil
}

// ExitCode returns the exit code of a process that has ended and is the
// child of a reaper, or was reaped by a shim after Note. It gives up when the
// process was reaped by somebody else.
func ExitCode(dir string, pid int, pidfd *os.File) (code int, ok bool) {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		over := isReaped(pidfd) || time.Now().After(deadline) // before we look: the code is written first
		data, err := os.ReadFile(file(dir, pid))
		if line, whole := bytes.CutSuffix(data, []byte("\n")); err == nil && whole {
			code, err = strconv.Atoi(string(line))
			return code, err == nil
		}
		if over {
			return 0, false
		}
	}
}

// isReaped reports whether the process is not even a zombie any more.
func isReaped(pidfd *os.File) bool {
	conn, err := pidfd.SyscallConn()
	if err != nil {
		return true
	}
	var err2 error
	err = conn.Control(func(fd uintptr) { err2 = unix.PidfdSendSignal(int(fd), 0, nil, 0) })
	return err != nil || errors.Is(err2, unix.ESRCH)
}

func file(dir string, pid int) string { return filepath.Join(dir, "wait", strconv.Itoa(pid)) }
