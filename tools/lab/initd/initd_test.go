package initd

import (
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// An init reaps every child of its process, so it runs in a process of its own:
// this test binary again, with its folder in the environment.
func TestMain(m *testing.M) {
	if dir := os.Getenv("INITD_TEST_DIR"); dir != "" {
		i := Init{Services: filepath.Join(dir, "services.json"), Status: filepath.Join(dir, "status.json"), Logs: dir, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
		if err := i.Run(); err != nil {
			slog.Error("init", "err", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type machine struct {
	t   *testing.T
	dir string
	cmd *exec.Cmd
}

func boot(t *testing.T, services ...Service) *machine {
	m := &machine{t: t, dir: t.TempDir()}
	m.configure(services...)
	m.cmd = exec.Command(os.Args[0])
	m.cmd.Env = append(os.Environ(), "INITD_TEST_DIR="+m.dir)
	m.cmd.Stderr = os.Stderr
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.cmd.Process.Signal(unix.SIGTERM); m.cmd.Wait() })
	return m
}

func (m *machine) configure(services ...Service) {
	b, err := json.Marshal(services)
	if err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.dir, "services.json"), b, 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) reload(services ...Service) {
	m.configure(services...)
	if err := m.cmd.Process.Signal(unix.SIGHUP); err != nil {
		m.t.Fatal(err)
	}
}

// until polls the status until it is as wanted.
func (m *machine) until(what string, ok func(map[string]Status) bool) map[string]Status {
	m.t.Helper()
	var last []byte
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-time.After(5 * time.Millisecond) {
		b, err := os.ReadFile(filepath.Join(m.dir, "status.json"))
		if err != nil {
			continue
		}
		last = b
		var list []Status
		if err := json.Unmarshal(b, &list); err != nil {
			m.t.Fatalf("half-written status %q: %v", b, err)
		}
		all := map[string]Status{}
		for _, s := range list {
			all[s.Name] = s
		}
		if ok(all) {
			return all
		}
	}
	m.t.Fatalf("not %s within 20s; status: %s", what, last)
	return nil
}

func sh(name, script string) Service {
	return Service{Name: name, Argv: []string{"/bin/sh", "-c", script}}
}

func running(names ...string) func(map[string]Status) bool {
	return func(all map[string]Status) bool {
		if len(all) != len(names) {
			return false
		}
		for _, n := range names {
			if all[n].PID == 0 {
				return false
			}
		}
		return true
	}
}

func TestKilledServiceIsStartedAgain(t *testing.T) {
	m := boot(t, sh("a", "echo hello; exec sleep 1000"))
	first := m.until("running", running("a"))["a"]
	if err := unix.Kill(first.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := m.until("restarted", func(all map[string]Status) bool { return all["a"].PID != 0 && all["a"].PID != first.PID })["a"]
	if second.Restarts != 1 || !strings.Contains(second.Last, "signal 9") {
		t.Errorf("got %+v, want one restart after signal 9", second)
	}
	if err := unix.Kill(first.PID, 0); err == nil {
		t.Error("the killed process is a zombie: nobody has asked how it ended")
	}
	m.until("in the log", func(map[string]Status) bool {
		log, err := os.ReadFile(filepath.Join(m.dir, "a.log"))
		return err == nil && strings.HasPrefix(string(log), "hello\n")
	})
}

func TestReloadConverges(t *testing.T) {
	m := boot(t, sh("keeps", "exec sleep 1000"), sh("goes", "exec sleep 1000"), sh("changes", "exec sleep 1000"))
	before := m.until("running", running("keeps", "goes", "changes"))
	changed := sh("changes", "exec sleep 1000")
	changed.Version = "2"
	m.reload(sh("keeps", "exec sleep 1000"), changed, sh("comes", "exec sleep 1000"))
	after := m.until("converged", func(all map[string]Status) bool {
		return running("keeps", "changes", "comes")(all) && all["changes"].PID != before["changes"].PID
	})
	if after["keeps"].PID != before["keeps"].PID {
		t.Error("a service that did not change was restarted")
	}
	if err := unix.Kill(before["goes"].PID, 0); err == nil {
		t.Error("a service that is not wanted lives on")
	}
}

func TestBadServicesFileChangesNothing(t *testing.T) {
	m := boot(t, sh("a", "exec sleep 1000"))
	first := m.until("running", running("a"))["a"]
	if err := os.WriteFile(filepath.Join(m.dir, "services.json"), []byte("[{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := m.cmd.Process.Signal(unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	m.reload(sh("a", "exec sleep 1000"), sh("b", "exec sleep 1000"))
	if got := m.until("running", running("a", "b"))["a"]; got.PID != first.PID {
		t.Error("a bad file made a service restart")
	}
}

func TestBackoff(t *testing.T) {
	for failures, want := range []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, 1600 * time.Millisecond, 3200 * time.Millisecond, 5 * time.Second, 5 * time.Second} {
		if got := backoff(failures); got != want {
			t.Errorf("after %d failures: got %s, want %s", failures, got, want)
		}
	}
	if got := backoff(1 << 20); got != maxBackoff {
		t.Errorf("after very many failures: got %s, want %s", got, maxBackoff)
	}
}

func TestBackoffCountsFailuresInARow(t *testing.T) {
	i := Init{Log: slog.New(slog.DiscardHandler)}
	p := &process{service: Service{Name: "s"}}
	now := time.Now()
	for _, c := range []struct {
		ran, want time.Duration
		failures  int
	}{
		{time.Second, firstBackoff, 1},
		{time.Second, 2 * firstBackoff, 2},
		{steady, firstBackoff, 1},
		{time.Hour, firstBackoff, 1},
		{time.Second, 2 * firstBackoff, 2},
	} {
		p.status.PID, p.status.Since = 1, now
		now = now.Add(c.ran)
		i.ended(p, 0, now)
		if got := p.retry.Sub(now); got != c.want || p.status.Failures != c.failures {
			t.Errorf("after it ran for %s: got %s, %d in a row; want %s, %d", c.ran, got, p.status.Failures, c.want, c.failures)
		}
	}
	if p.status.Restarts != 5 {
		t.Errorf("got %d restarts, want all 5", p.status.Restarts)
	}
}

func TestServiceThatIsWantedAgainWhileItStopsComesBack(t *testing.T) {
	s := Service{Name: "deaf", Argv: []string{"sh", "-c", "trap '' TERM; sleep 1000"}}
	i := Init{Log: slog.New(slog.DiscardHandler), running: map[string]*process{
		"deaf": {service: s, stopping: true, status: Status{Name: "deaf", PID: 1 << 30}}, // no such process
	}}
	now := time.Now()
	i.converge([]Service{s}, now)
	p := i.running["deaf"]
	i.ended(p, 0, now)
	if i.running["deaf"] == nil || p.stopping || p.retry.IsZero() {
		t.Errorf("got %+v, want that it is started again", p)
	}
}
