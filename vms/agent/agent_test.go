package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/k8s-groundup/groundup/vms/wire"
)

// When it is called so, the test binary is the machine's go program.
const goVariable = "GROUNDUP_TEST_GO_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(goVariable); dir != "" {
		os.Exit(Go(dir, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// host starts an agent and returns the host's end of its wire. The agent must
// end when the wire does.
func host(t *testing.T) (*wire.Conn, string) {
	t.Helper()
	ours, theirs := net.Pipe()
	dir := t.TempDir()
	done := make(chan error, 1)
	go func() {
		done <- New(wire.NewConn(theirs), dir, slog.New(slog.DiscardHandler)).Run(context.Background())
	}()
	t.Cleanup(func() {
		ours.Close()
		select {
		case err := <-done:
			if !errors.Is(err, io.EOF) {
				t.Errorf("Run returned %v, want EOF", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("the agent goes on after the wire has ended; a command would outlive its host")
		}
	})
	return wire.NewConn(ours), dir
}

func send(t *testing.T, c *wire.Conn, m wire.Message) {
	t.Helper()
	if err := c.Send(m); err != nil {
		t.Fatal(err)
	}
}

// result reads all of a run.
func result(t *testing.T, c *wire.Conn) (stdout, stderr string, exit wire.Exit) {
	t.Helper()
	var out [3]bytes.Buffer
	for {
		m, err := c.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if m.Data != nil {
			out[m.Data.Stream].Write(m.Data.Bytes)
		}
		if m.Exit != nil {
			return out[wire.Stdout].String(), out[wire.Stderr].String(), *m.Exit
		}
	}
}

func TestRun(t *testing.T) {
	for _, c := range []struct {
		name           string
		start          wire.Start
		stdin          string
		stdout, stderr string
		code           int
	}{
		{"streams are apart", wire.Start{Args: []string{"sh", "-c", "echo out; echo err >&2"}}, "", "out\n", "err\n", 0},
		{"the exit code", wire.Start{Args: []string{"sh", "-c", "exit 3"}}, "", "", "", 3},
		{"a death by signal", wire.Start{Args: []string{"sh", "-c", "kill -9 $$"}}, "", "", "", 137},
		{"input and its end", wire.Start{Args: []string{"cat"}}, "hello", "hello", "", 0},
		{"folder and variables", wire.Start{Args: []string{"sh", "-c", "pwd; echo $X"}, Dir: "/", Env: []string{"X=y"}}, "", "/\ny\n", "", 0},
		{"a terminal", wire.Start{Args: []string{"sh", "-c", "test -t 0 && stty size"}, TTY: &wire.Size{Rows: 24, Cols: 80}}, "", "24 80\r\n", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, _ := host(t)
			send(t, conn, wire.Message{Start: &c.start})
			if c.stdin != "" {
				send(t, conn, wire.Message{Data: &wire.Data{Bytes: []byte(c.stdin)}})
				send(t, conn, wire.Message{Data: &wire.Data{}})
			}
			stdout, stderr, exit := result(t, conn)
			if stdout != c.stdout || stderr != c.stderr || exit.Code != c.code || exit.Error != "" {
				t.Errorf("got %q, %q, %+v, want %q, %q, code %d", stdout, stderr, exit, c.stdout, c.stderr, c.code)
			}
		})
	}
}

func TestMissingProgramIsAnError(t *testing.T) {
	conn, _ := host(t)
	send(t, conn, wire.Message{Start: &wire.Start{Args: []string{"no-such-program"}}})
	if _, _, exit := result(t, conn); exit.Code != 127 || !strings.Contains(exit.Error, "no-such-program") {
		t.Errorf("got %+v, want code 127 and the name", exit)
	}
}

func TestSignalReachesChildren(t *testing.T) {
	conn, _ := host(t)
	send(t, conn, wire.Message{Start: &wire.Start{Args: []string{"sh", "-c", "sleep 100 & echo started; wait"}}})
	if m, err := conn.Receive(); err != nil || m.Data == nil {
		t.Fatalf("got %+v, %v, want output", m, err)
	}
	send(t, conn, wire.Message{Signal: &wire.Signal{Number: 15}})
	// The end comes only when nobody holds the output any more.
	if _, _, exit := result(t, conn); exit.Code != 128+15 {
		t.Errorf("got %+v, want code 143", exit)
	}
}

// A command that nobody ends must not keep the agent: host checks that.
func TestCommandsEndWithTheWire(t *testing.T) {
	conn, _ := host(t)
	send(t, conn, wire.Message{Start: &wire.Start{Args: []string{"sleep", "1000"}}})
}

func TestHostBuildsForTheMachine(t *testing.T) {
	conn, dir := host(t)
	out := t.TempDir()
	answered := make(chan wire.Build, 1)
	go func() {
		m, err := conn.Receive()
		if err != nil || m.Build == nil {
			close(answered)
			return
		}
		answered <- *m.Build
		for _, b := range []wire.Built{
			{File: "tool", Bytes: []byte("one ")}, {File: "tool", Bytes: []byte("two")},
			{Done: true, Stdout: "said", Stderr: "complained", Code: 5},
		} {
			b.Number = m.Build.Number
			if conn.Send(wire.Message{Built: &b}) != nil {
				return
			}
		}
	}()
	waitFor(t, filepath.Join(dir, "go.sock"))
	cmd := exec.Command(filepath.Join(dir, "bin/go"), "build", "-o", out+"/", "./cmd/tool")
	cmd.Dir, cmd.Env = "/", append(os.Environ(), goVariable+"="+dir, "CGO_ENABLED=0")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState.ExitCode() != 5 || stdout.String() != "said" || stderr.String() != "complained" {
		t.Errorf("got %v, %q, %q, want the host's exit code and words", err, &stdout, &stderr)
	}
	b := <-answered
	if b.Dir != "/" || strings.Join(b.Args, " ") != "build -o "+out+"/ ./cmd/tool" || len(b.Env) == 0 {
		t.Errorf("got %+v, want what the program was called with", b)
	}
	if got, err := os.ReadFile(out + "/tool"); err != nil || string(got) != "one two" {
		t.Errorf("got %q, %v, want the file that the host has built", got, err)
	}
}

func waitFor(t *testing.T, path string) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); <-tick.C {
		if _, err := os.Stat(path); err == nil {
			return
		}
	}
	t.Fatalf("no %s after 5s", path)
}

func TestOutput(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args, out, rest, path string
	}{
		{"build -o x ./a", "x", "build ./a", dir + "/x"},
		{"build -o=x/ ./a", "x/", "build ./a", dir + "/x/a"},
		{"build -v -o /y ./a", "/y", "build -v ./a", "/y"},
		{"build -o " + dir + " ./a", dir, "build ./a", dir + "/a"},
		{"build -o", "", "build -o", ""},
	} {
		args := strings.Fields(c.args)
		out, rest := Output(args)
		if out != c.out || strings.Join(rest, " ") != c.rest {
			t.Errorf("Output(%s): got %q, %q, want %q, %q", c.args, out, rest, c.out, c.rest)
		}
		if c.path != "" {
			if got := OutputPath(args, dir, "a"); got != c.path {
				t.Errorf("OutputPath(%s): got %s, want %s", c.args, got, c.path)
			}
		}
	}
}
