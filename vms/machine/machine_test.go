package machine

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/vms/image"
	"github.com/k8s-groundup/groundup/vms/qemu"
	"github.com/k8s-groundup/groundup/vms/repo"
	"github.com/k8s-groundup/groundup/vms/wire"
)

// Booting wants the image, and minutes where processors are emulated.
var real = flag.Bool("boot", false, "boot real machines")

var sayAccel sync.Once

func config(t *testing.T) Config {
	t.Helper()
	if !*real {
		t.Skip("boots a machine: go test ./machine -args -boot")
	}
	r, err := repo.Find()
	if err != nil {
		t.Fatal(err)
	}
	init, err := r.BuildInit()
	if err != nil {
		t.Fatal(err)
	}
	img, err := image.Builder{Cache: r.Cache(), Init: init, Log: os.Stderr}.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	accel, why, err := qemu.Choose(t.Context(), img.Kernel, img.Initrd)
	if err != nil {
		t.Fatal(err)
	}
	sayAccel.Do(func() { t.Logf("%s: %s", accel, why) })
	return Config{Image: img, Accel: accel, Memory: 768}
}

func boot(t *testing.T, c Config) *Machine {
	t.Helper()
	var console bytes.Buffer
	c.Console = &console
	m, err := Boot(t.Context(), c)
	if err != nil {
		t.Fatalf("%v\n%s", err, &console)
	}
	t.Cleanup(m.Close)
	t.Logf("booted in %s, %.1f times slower than this computer", m.Booted().Round(time.Millisecond), m.Factor())
	return m
}

func sh(t *testing.T, m *Machine, script string) string {
	t.Helper()
	var out bytes.Buffer
	code, err := m.Run(t.Context(), Command{Args: []string{"sh", "-c", script}, Stdout: &out, Stderr: &out})
	if err != nil || code != 0 {
		t.Fatalf("%s: code %d, %v\n%s", script, code, err, &out)
	}
	return strings.TrimSpace(out.String())
}

func TestMachineIsWhatTheLabsClaim(t *testing.T) {
	c := config(t)
	c.Files, c.Mount = t.TempDir(), "/srv/files"
	if err := os.WriteFile(filepath.Join(c.Files, "greeting"), []byte("hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := boot(t, c)
	for _, p := range []struct{ property, script, want string }{
		{"a stock kernel", "uname -r | cut -d. -f1,2", "6.1"},
		{"cgroup v2", "stat -fc %T /sys/fs/cgroup", "cgroup2fs"},
		{"with systemd's rules for namespaces", "grep -c 'cgroup2.*nsdelegate' /proc/mounts", "1"},
		{"root", "id -u", "0"},
		{"process 1 is ours", "cat /proc/1/comm", "init"},
		{"the clock is right", "test $(date +%s) -ge " + fmt.Sprint(time.Now().Unix()-60) + " && echo yes", "yes"},
		{"loopback is up", "ping -c1 -W5 127.0.0.1 >/dev/null && echo yes", "yes"},
		{"modules load by themselves", "mkdir /tmp/l /tmp/u /tmp/w /tmp/m && mount -t overlay o -o lowerdir=/tmp/l,upperdir=/tmp/u,workdir=/tmp/w /tmp/m && echo yes", "yes"},
		{"what was shipped is there", "cat /srv/files/greeting", "hello"},
		{"and can be changed", "echo changed > /srv/files/greeting && echo yes", "yes"},
	} {
		if got := sh(t, m, p.script); got != p.want {
			t.Errorf("%s: %s: got %q, want %q", p.property, p.script, got, p.want)
		}
	}
	if got, _ := os.ReadFile(filepath.Join(c.Files, "greeting")); string(got) != "hello\n" {
		t.Errorf("the folder here: got %q, want it unchanged", got)
	}
	if code, err := m.Run(t.Context(), Command{Args: []string{"sh", "-c", "kill -9 $$"}}); code != 137 || err != nil {
		t.Errorf("a killed command: got %d, %v, want 137", code, err)
	}
	if left, _ := os.ReadDir(m.dir); len(left) != 0 {
		t.Errorf("got %v in %s, want no file with a name while the machine runs", left, m.dir)
	}
}

func TestRestoreUndoes(t *testing.T) {
	m := boot(t, config(t))
	start := time.Now()
	if err := m.Save("clean"); err != nil {
		t.Fatal(err)
	}
	saved := time.Since(start)
	sh(t, m, "echo x > /file; ip link add d0 type dummy; mkdir /sys/fs/cgroup/g; hostname changed")
	hang, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := m.Run(hang, Command{Args: []string{"sleep", "1000"}})
		ended <- err
	}()
	for range 2 { // a reset can be repeated
		start = time.Now()
		if err := m.Restore(t.Context(), "clean"); err != nil {
			t.Fatal(err)
		}
		t.Logf("saved in %s, restored in %s", saved.Round(time.Millisecond), time.Since(start).Round(time.Millisecond))
	}
	if got := sh(t, m, "ls -d /file /sys/class/net/d0 /sys/fs/cgroup/g 2>/dev/null; hostname; pgrep -c sleep || :"); got != "groundup\n0" {
		t.Errorf("got %q, want nothing of what was done", got)
	}
	if got := sh(t, m, "date +%s"); got < fmt.Sprint(time.Now().Unix()-60) {
		t.Errorf("got %s, want the clock of now", got)
	}
	select {
	case err := <-ended:
		if err == nil {
			t.Error("a command of before: got success, want an error")
		}
	case <-time.After(30 * time.Second):
		t.Error("a command of before the reset is still waited for")
	}
}

func TestMachinesReachEachOther(t *testing.T) {
	c := config(t)
	const port = 20471
	var ms []*Machine
	for i := range 2 {
		conf := c
		conf.Hostname = fmt.Sprintf("node-%d", i+1)
		conf.Network = &Network{Port: port, Number: i + 1, Address: fmt.Sprintf("10.99.0.%d/24", i+1)}
		ms = append(ms, boot(t, conf))
	}
	sh(t, ms[0], "ping -c1 -W20 10.99.0.2")
	// A power cut.
	ms[1].Close()
	sh(t, ms[0], "! ping -c1 -W1 10.99.0.2")
}

func TestSystemd(t *testing.T) {
	c := config(t)
	c.Systemd, c.Memory = true, 1024
	m := boot(t, c)
	if got := sh(t, m, "systemctl is-system-running --wait"); got != "running" {
		t.Errorf("got %s, want running: %s", got, sh(t, m, "systemctl --failed --no-pager"))
	}
	if got := sh(t, m, "cat /proc/1/comm"); got != "systemd" {
		t.Errorf("process 1: got %s, want systemd", got)
	}
}

func TestCancelledCommandIsInterrupted(t *testing.T) {
	m := boot(t, config(t))
	ctx, cancel := context.WithCancel(t.Context())
	out := writerFunc(func(b []byte) (int, error) { cancel(); return len(b), nil })
	code, err := m.Run(ctx, Command{Args: []string{"sh", "-c", "trap 'exit 7' TERM; sleep 1000 & echo ready; wait"}, Stdout: out})
	if !errors.Is(err, context.Canceled) || code != 7 {
		t.Errorf("got %d, %v, want the command's own exit and Canceled", code, err)
	}
}

// What a command has left behind holds its output: the end must come all the
// same, with the code of the command itself.
func TestSurvivorsOfAnInterruptAreKilled(t *testing.T) {
	m := boot(t, config(t))
	ctx, cancel := context.WithCancel(t.Context())
	out := writerFunc(func(b []byte) (int, error) { cancel(); return len(b), nil })
	code, err := m.Run(ctx, Command{Args: []string{"sh", "-c", "trap 'exit 7' TERM; (trap '' TERM; sleep 1000) & echo ready; wait"}, Stdout: out})
	if !errors.Is(err, context.Canceled) || code != 7 {
		t.Errorf("got %d, %v, want the command's own exit and Canceled", code, err)
	}
	if got := sh(t, m, "pgrep -c sleep || :"); got != "0" {
		t.Errorf("got %s survivors, want none", got)
	}
}

func TestPowerCutEndsCommands(t *testing.T) {
	m := boot(t, config(t))
	ready := make(chan struct{}, 1)
	out := writerFunc(func(b []byte) (int, error) { ready <- struct{}{}; return len(b), nil })
	done := make(chan error, 1)
	go func() {
		_, err := m.Run(context.Background(), Command{Args: []string{"sh", "-c", "echo ready; sleep 1000"}, Stdout: out})
		done <- err
	}()
	<-ready
	pid := m.process.Pid()
	m.Close()
	if err := <-done; err == nil {
		t.Error("got success, want an error: the machine has gone")
	}
	if err := unix.Kill(pid, 0); err == nil {
		t.Error("qemu is still there")
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestTerminal(t *testing.T) {
	m := boot(t, config(t))
	var out bytes.Buffer
	code, err := m.Run(t.Context(), Command{
		Args: []string{"bash", "-c", "read x; echo got $x"}, Stdin: strings.NewReader("hi\n"), Stdout: &out, TTY: &wire.Size{Rows: 24, Cols: 80},
	})
	if err != nil || code != 0 || !strings.Contains(out.String(), "got hi\r\n") {
		t.Errorf("got %d, %v, %q, want what was typed", code, err, &out)
	}
}

func TestDiskSizeHasRoom(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), make([]byte, 10_000), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := diskSize(dir); err != nil || got < 20_000+1<<30 {
		t.Errorf("got %d, %v, want twice the folder and a gigabyte", got, err)
	}
	if _, err := diskSize(dir + "/none"); err == nil {
		t.Error("a folder that is not there: got no error")
	}
}
