package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestStepsAreCompleted(t *testing.T) {
	for _, command := range []string{"up", "verify", "read", "tasks", "build"} {
		var out bytes.Buffer
		cmd := New()
		cmd.SetArgs([]string{"__complete", command, ""})
		cmd.SetOut(&out)
		cmd.SetErr(io.Discard)
		if err := cmd.Execute(); err != nil || !strings.Contains(out.String(), "01\tThe kubelet\n") {
			t.Errorf("%s: got %v and\n%s", command, err, out.String())
		}
	}
}

func TestNoNodesAreNoCluster(t *testing.T) {
	cmd := New()
	cmd.SetArgs([]string{"up", "--nodes", "0"})
	cmd.SetOut(io.Discard)
	if err := cmd.Execute(); err == nil || !strings.Contains(err.Error(), "at least one") {
		t.Errorf("got %v", err)
	}
}

func TestAnInterruptedBuildSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, t.TempDir(), nil, "sleep", "60"); !errors.Is(err, errInterrupted) {
		t.Errorf("got %v", err)
	}
}
