package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/vms/repo"
)

// slowHolder is a holder that says in a file that it lives, and is not quick enough to
// take the machine's lock.
func slowHolder(file string) {
	if err := os.WriteFile(file, []byte(fmt.Sprintln(os.Getpid())), 0o644); err != nil {
		panic(err)
	}
	time.Sleep(time.Minute)
	os.Exit(0)
}

// pidIn waits for a whole number in a file.
func pidIn(t *testing.T, file string) int {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-time.After(time.Millisecond) {
		b, _ := os.ReadFile(file)
		if number, whole := strings.CutSuffix(string(b), "\n"); whole {
			pid, err := strconv.Atoi(number)
			if err != nil {
				t.Error(err)
			}
			return pid
		}
	}
	t.Errorf("nothing is in %s", file)
	return 0
}

func TestInterruptedStartLeavesNoHolder(t *testing.T) {
	r, err := repo.Find()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	alive := filepath.Join(dir, "alive")
	t.Setenv("TEST_SLOW_HOLDER", alive)
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		pidIn(t, alive)
		interrupt()
	}()
	f := fleet{dir: filepath.Join(dir, "state")}
	if err := f.startOne(ctx, r, 1, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	gone(t, pidIn(t, alive))
}

// A holder locks the file, and then writes its number into it.
func TestHolderPidWaitsForTheNumber(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, pidFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { fmt.Fprintln(f, 77) })
	if pid, err := holderPid(dir); err != nil || pid != 77 {
		t.Errorf("got %d, %v, want 77", pid, err)
	}
}

func TestStopRemovesOnlyWhatStartMakes(t *testing.T) {
	dir := t.TempDir()
	for _, file := range []string{"node-1/root.qcow2", "node-12/pid", "node-v20/precious", "port", "precious"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stop := func(state string) {
		cmd := stopCommand()
		cmd.SetArgs([]string{"--state", state})
		if err := cmd.Execute(); err != nil {
			t.Error(err)
		}
	}
	stop(dir)
	var left []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if got := strings.Join(left, " "); got != "node-v20 precious" {
		t.Errorf("left are %s, want node-v20 and precious", got)
	}
	stop(filepath.Join(dir, "none"))
}
