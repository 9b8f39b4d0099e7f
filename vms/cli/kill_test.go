package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Whatever ends vm, nothing of the machine stays: no process and no file.
func TestEndedVMLeavesNothing(t *testing.T) {
	if !*real {
		t.Skip("boots machines: go test ./cli -args -boot")
	}
	program := filepath.Join(t.TempDir(), "vm")
	if out, err := exec.Command("go", "build", "-o", program, "../cmd/vm").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, c := range []struct {
		name   string
		signal unix.Signal
		code   int
	}{
		{"Ctrl-C", unix.SIGINT, 130},
		{"kill", unix.SIGTERM, 130},
		{"kill -9", unix.SIGKILL, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			tmp := t.TempDir()
			cmd := exec.Command(program, "run", "--memory", "512", "--repo", "--", "sh", "-c", "echo ready; sleep 1000")
			cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
			var complaints bytes.Buffer
			cmd.Stderr = &complaints
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
				t.Fatalf("got %q, %v, want ready", line, err)
			}
			qemu := childOf(t, cmd.Process.Pid)
			if err := cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // the code says it
			if got := cmd.ProcessState.ExitCode(); got != c.code {
				t.Errorf("got exit code %d, want %d: %s", got, c.code, &complaints)
			}
			gone(t, qemu)
			if left, _ := os.ReadDir(tmp); len(left) != 0 {
				t.Errorf("got %v in TMPDIR, want nothing", left)
			}
		})
	}
}

// childOf returns the process id of the emulator that a process has started.
func childOf(t *testing.T, parent int) int {
	t.Helper()
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		data, _ := os.ReadFile(path)
		var pid, ppid int
		var state string
		before, after, ok := strings.Cut(string(data), ") ")
		if !ok || !strings.Contains(before, "(qemu-system") {
			continue
		}
		if _, err := fmt.Sscan(before, &pid); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Sscan(after, &state, &ppid); err == nil && ppid == parent {
			return pid
		}
	}
	t.Fatalf("process %d has started no qemu", parent)
	return 0
}

func gone(t *testing.T, pid int) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); <-tick.C {
		if unix.Kill(pid, 0) != nil {
			return
		}
	}
	t.Errorf("qemu, process %d, is still there 10s later", pid)
}
