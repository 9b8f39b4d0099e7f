package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/k8s-groundup/groundup/tools/lab/check"
	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/k8s-groundup/groundup/tools/lab/step"
	"github.com/spf13/cobra"
)

func TestWhoAsksTheClusterSaysThatThereIsNone(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it would ask sudo")
	}
	for _, c := range []struct {
		cmd  *cobra.Command
		args []string
	}{
		{verifyCommand(), []string{"01", "--check", "none-such"}},
		{tasksCommand(), []string{"01"}},
		{tasksCommand(), []string{}},
		{hintCommand(), []string{"run-hello", "01"}},
	} {
		t.Setenv("GROUNDUP_HOME", t.TempDir())
		c.cmd.SetArgs(c.args)
		c.cmd.SilenceUsage, c.cmd.SilenceErrors = true, true
		if err := c.cmd.Execute(); !errors.Is(err, cluster.ErrNone) {
			t.Errorf("%s: got %v, want %v", c.cmd.Name(), err, cluster.ErrNone)
		}
	}
}

// scripts writes checks, each with these lines for its probe.
func scripts(t *testing.T, probes map[string]string) (check.Runner, []check.Check) {
	t.Helper()
	dir := t.TempDir()
	words := filepath.Join(t.TempDir(), "words.sh")
	if err := os.WriteFile(words, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, lines := range probes {
		text := "# title: T\n# proves: P\n# time: 30s\n# hint: H\n\nprobe() {\n" + lines + "\n}\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	checks, err := check.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return check.Runner{Library: words}, checks
}

func TestAnInterruptedVerifyBlamesNoCheck(t *testing.T) {
	t.Setenv("GROUNDUP_HOME", t.TempDir())
	asked := filepath.Join(t.TempDir(), "asked")
	runner, checks := scripts(t, map[string]string{
		"010-holds.sh":   ":",
		"020-not-yet.sh": "echo not yet; touch " + asked + "; false",
		"030-never.sh":   ":",
	})
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(asked); err == nil {
				interrupt()
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	var out strings.Builder
	v := verification{runner: runner, w: &out}
	s := &step.Step{Number: 1, Title: "T"}
	err := v.verdict(ctx, s, checks, v.run(ctx, s, checks))
	if err == nil || !strings.Contains(err.Error(), "interrupted: 1 of 3 hold") {
		t.Errorf("got %v, want that it was interrupted", err)
	}
	if strings.Contains(out.String(), "✗") || strings.Contains(out.String(), "broken") {
		t.Errorf("it blames a check:\n%s", &out)
	}
}

func TestVerifyNamesTheChecksThereAre(t *testing.T) {
	_, checks := scripts(t, map[string]string{"010-holds.sh": ":", "020-too.sh": ":"})
	if _, err := chosen(checks, "hold"); err == nil || !strings.HasSuffix(err.Error(), "there are holds, too") {
		t.Errorf("got %v, want the ids that there are", err)
	}
	for id, want := range map[string]int{"": 2, "too": 1} {
		if got, err := chosen(checks, id); err != nil || len(got) != want {
			t.Errorf("%q: got %d checks, %v, want %d", id, len(got), err, want)
		}
	}
}

// Whoever interrupts is not told that the property does not hold.
func TestInterruptedVerifySaysSo(t *testing.T) {
	dir := t.TempDir()
	library, began := filepath.Join(dir, "words.sh"), filepath.Join(dir, "began")
	if err := os.WriteFile(library, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, probe := range map[string]string{"010-holds.sh": ":", "020-never.sh": ": >" + began + "; false", "030-later.sh": ":"} {
		script := "# title: " + name + "\n# proves: P\n# time: 1h\nprobe() { " + probe + "; }\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	checks, err := check.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	interrupt := errors.New("interrupt signal received")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		for _, err := os.Stat(began); err != nil; _, err = os.Stat(began) {
			<-time.After(time.Millisecond)
		}
		cancel(interrupt)
	}()
	var out bytes.Buffer
	v := verification{runner: check.Runner{Library: library}, w: &out}
	results := v.run(ctx, &step.Step{}, checks)
	err = v.verdict(ctx, &step.Step{}, checks, results)
	if len(results) != 1 || strings.Contains(out.String(), "✗") {
		t.Errorf("got %+v, want the first check alone:\n%s", results, &out)
	}
	if !errors.Is(err, interrupt) || !strings.Contains(err.Error(), "1 of 3") {
		t.Errorf("got %v, want %v, and how far it has come", err, interrupt)
	}
}
