package reaper_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/steps/00-container/reaper"
)

// The test binary is the reaper, too, by the constructor in it, and the shim
// below the reaper: one that starts a shell and dies at once.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "pod" {
		if err := shim(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func shim(dir string) error {
	shell := exec.Command("/bin/sh", "-c", os.Getenv("SCRIPT"))
	shell.Stdin = os.Stdin
	if err := shell.Start(); err != nil {
		return err
	}
	pid := shell.Process.Pid
	if os.Getenv("EXPECT") != "" {
		if err := errors.Join(reaper.Prepare(dir), reaper.Expect(dir, pid)); err != nil {
			return err
		}
	}
	part := filepath.Join(dir, "part")
	if err := os.WriteFile(part, []byte(strconv.Itoa(pid)), 0o600); err != nil {
		return err
	}
	return os.Rename(part, filepath.Join(dir, "pid"))
}

func TestEndAfterTheShim(t *testing.T) {
	for _, c := range []struct {
		name, script, expect string
		code                 int
		ok                   bool
	}{
		{"exit", "read x; exit 7", "yes", 7, true},
		{"success", "read x; exit 0", "yes", 0, true},
		{"signal", "read x; kill -9 $$", "yes", 137, true},
		{"not announced", "read x; exit 7", "", 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			above := &exec.Cmd{Path: "/proc/self/exe", Args: []string{"reaper", "shim", dir}, Env: []string{"SCRIPT=" + c.script, "EXPECT=" + c.expect}, Stderr: os.Stderr}
			in, err := above.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := above.Start(); err != nil {
				t.Fatal(err)
			}
			pid := waitForPID(t, filepath.Join(dir, "pid"))
			pidfd := openPidfd(t, pid)
			in.Close() // lets the shell go on
			if code, ok := reaper.ExitCode(dir, pid, pidfd); code != c.code || ok != c.ok {
				t.Errorf("got %d, %v; want %d, %v", code, ok, c.code, c.ok)
			}
			if err := above.Wait(); err != nil { // it has no children any more
				t.Errorf("reaper: %v", err)
			}
			if c.expect == "" {
				if left, err := os.ReadDir(filepath.Join(dir, "wait")); err == nil {
					t.Errorf("got files %v for a process that nobody announced", left)
				}
			}
		})
	}
}

// A shim that reaps a process itself has put on record before how it ended.
func TestNote(t *testing.T) {
	dir := t.TempDir()
	child := exec.Command("/bin/sh", "-c", "exit 5")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	pid := child.Process.Pid
	pidfd := openPidfd(t, pid)
	if err := errors.Join(reaper.Prepare(dir), reaper.Expect(dir, pid), reaper.Note(dir, pid)); err != nil {
		t.Fatal(err)
	}
	var status *exec.ExitError
	if err := child.Wait(); !errors.As(err, &status) || status.ExitCode() != 5 {
		t.Errorf("got %v: the child was to be left for us to reap", err)
	}
	if code, ok := reaper.ExitCode(dir, pid, pidfd); code != 5 || !ok {
		t.Errorf("got %d, %v; want 5", code, ok)
	}
	if err := reaper.Expect(dir, pid); err != nil {
		t.Fatal(err)
	}
	if code, ok := reaper.ExitCode(dir, pid, pidfd); ok {
		t.Errorf("got %d from another process that had the same PID", code)
	}
	if err := errors.Join(reaper.Forget(dir, pid), reaper.Forget(dir, pid)); err != nil {
		t.Errorf("forget twice: %v", err)
	}
	if err := reaper.Note(dir, 1); !errors.Is(err, syscall.ECHILD) {
		t.Errorf("got %v for a process that is not our child, want ECHILD", err)
	}
}

func waitForPID(t *testing.T, path string) int {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		data, err := os.ReadFile(path)
		if err == nil {
			pid, err := strconv.Atoi(string(data))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
		if time.Now().After(deadline) {
			t.Fatal("the shim has not started its child within 30s")
		}
	}
}

func openPidfd(t *testing.T, pid int) *os.File {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	t.Cleanup(func() { f.Close() })
	return f
}
