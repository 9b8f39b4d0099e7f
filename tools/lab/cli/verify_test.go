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
)

func TestVerifySaysThatThereIsNoCluster(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it would ask sudo")
	}
	t.Setenv("GROUNDUP_HOME", t.TempDir())
	cmd := verifyCommand()
	cmd.SetArgs([]string{"01", "--check", "none-such"})
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	if err := cmd.Execute(); !errors.Is(err, cluster.ErrNone) {
		t.Errorf("got %v, want %v", err, cluster.ErrNone)
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
