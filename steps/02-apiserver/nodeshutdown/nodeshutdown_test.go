package nodeshutdown

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godbus/dbus/v5"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podstatus"
)

// A diary is a node that writes down what is done to it.
type diary struct {
	began time.Time

	mu    sync.Mutex // guards the fields below
	lines []string
	pods  map[types.UID]time.Time // when the pod will have ended; zero while it is not told to
	takes map[types.UID]time.Duration
}

func (d *diary) note(format string, args ...any) {
	d.lines = append(d.lines, fmt.Sprintf("%v ", time.Since(d.began).Round(100*time.Millisecond))+fmt.Sprintf(format, args...))
}

func pod(name string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}}
	if name == "static" {
		p.Annotations = map[string]string{podsource.Annotation: "file"}
	}
	return p
}

func (d *diary) running() []*corev1.Pod {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []*corev1.Pod
	for uid, ends := range d.pods {
		if ends.IsZero() || time.Now().Before(ends) {
			all = append(all, pod(string(uid)))
		}
	}
	return all
}

func (d *diary) end(pod *corev1.Pod, grace int64, why podstatus.Failure) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note("end %s within %ds: %s", pod.Name, grace, why.Reason)
	d.pods[pod.UID] = time.Now().Add(d.takes[pod.UID])
	return true
}

func (d *diary) leave(why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note("not ready: %q", why)
}

// A fake is a logind.
type fake struct {
	d         *diary
	shutdowns chan bool
}

func (f *fake) MaxDelay() (time.Duration, error) { return time.Minute, nil }
func (f *fake) Shutdowns() (<-chan bool, error)  { return f.shutdowns, nil }
func (f *fake) Close() error                     { return nil }
func (f *fake) Inhibit() (io.Closer, error)      { return &lock{d: f.d}, nil }

type lock struct {
	d    *diary
	once sync.Once
}

func (l *lock) Close() error {
	l.once.Do(func() {
		l.d.mu.Lock()
		defer l.d.mu.Unlock()
		l.d.note("let go")
	})
	return nil
}

func TestPodsEndBeforeTheMachineDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{began: time.Now(), pods: map[types.UID]time.Time{"web": {}, "static": {}},
			takes: map[types.UID]time.Duration{"web": 2 * time.Second, "static": time.Hour}}
		f := &fake{d: d, shutdowns: make(chan bool)}
		w := &Watcher{Total: 30 * time.Second, Critical: 10 * time.Second, Pods: d.running, End: d.end, Leave: d.leave,
			Dial: func() (Logind, error) { return f, nil }, Log: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		if w.Refuse() != nil {
			t.Error("pods are refused before the shutdown")
		}
		f.shutdowns <- true
		time.Sleep(20 * time.Second)
		if refused := w.Refuse(); refused == nil || refused.Reason != "NodeShutdown" {
			t.Errorf("got %v, want new pods refused", refused)
		}
		f.shutdowns <- false
		synctest.Wait()
		if w.Refuse() != nil {
			t.Error("pods are refused after the shutdown was called off")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		want := `0s not ready: "node is shutting down"
0s end web within 20s: Terminated
2s end static within 10s: Terminated
12s let go
20s not ready: ""
20s let go`
		if got := strings.Join(d.lines, "\n"); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

func TestWithoutABusTheKubeletGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		w := &Watcher{Total: time.Minute, Log: slog.New(slog.DiscardHandler), Dial: func() (Logind, error) {
			tries++
			return nil, os.ErrNotExist
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		if err := w.Run(ctx); err != nil || tries != 3 {
			t.Errorf("got %v, %d tries, want nil, 3", err, tries)
		}
	})
}

// manager1 is a logind on a bus of the test's own.
type manager1 struct{ locks chan pipe }

// A pipe's reader sees the end when nobody holds the writer any more.
type pipe struct{ read, write *os.File }

// Inhibit is org.freedesktop.login1.Manager.Inhibit.
func (m manager1) Inhibit(what, _, _, mode string) (dbus.UnixFD, *dbus.Error) {
	read, write, err := os.Pipe()
	if err != nil || what != "shutdown" || mode != "delay" {
		return 0, dbus.MakeFailedError(fmt.Errorf("%s %s: %w", what, mode, err))
	}
	fd := dbus.UnixFD(write.Fd())
	m.locks <- pipe{read, write}
	return fd, nil
}

type properties struct{}

// Get is org.freedesktop.DBus.Properties.Get.
func (properties) Get(_, _ string) (dbus.Variant, *dbus.Error) {
	return dbus.MakeVariant(uint64(5_000_000)), nil
}

func TestLogindOverDBus(t *testing.T) {
	conn := bus(t)
	m := manager1{make(chan pipe, 1)}
	for name, v := range map[string]any{manager: m, "org.freedesktop.DBus.Properties": properties{}} {
		if err := conn.Export(v, object, name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.RequestName(service, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	l, err := Dial()
	if err != nil {
		t.Fatal(err)
	}
	if d, err := l.MaxDelay(); d != 5*time.Second || err != nil {
		t.Errorf("got %v, %v, want 5s", d, err)
	}
	shutdowns, err := l.Shutdowns()
	if err != nil {
		t.Fatal(err)
	}
	held, err := l.Inhibit()
	if err != nil {
		t.Fatal(err)
	}
	lock := <-m.locks
	defer lock.read.Close()
	if err := errors.Join(lock.write.Close(), held.Close()); err != nil {
		t.Error(err)
	}
	if n, err := lock.read.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("got %d, %v, want EOF: the lock is still held", n, err)
	}
	if err := conn.Emit(object, manager+".PrepareForShutdown", true); err != nil {
		t.Fatal(err)
	}
	select {
	case begins := <-shutdowns:
		if !begins {
			t.Error("got a shutdown that was called off")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the shutdown was not heard of")
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, ok := <-shutdowns; ok {
		t.Error("got another shutdown after the end of the connection")
	}
}

// bus starts a message bus, as which the system's is taken, and connects to it.
func bus(t *testing.T) *dbus.Conn {
	t.Helper()
	program, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skip("needs dbus-daemon")
	}
	conf := filepath.Join(t.TempDir(), "bus.conf")
	text := `<busconfig><type>session</type><listen>unix:dir=` + t.TempDir() + `</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command(program, "--config-file="+conf, "--nofork", "--print-address")
	out, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = daemon.Process.Kill(); _ = daemon.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", strings.TrimSpace(address))
	conn, err := dbus.ConnectSystemBus()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}
