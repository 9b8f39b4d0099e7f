package shim_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/k8s-groundup/groundup/steps/00-container/shim"
)

// Who gave up waiting for a shim cleans up next, and asks whether it listens.
func TestStartLeavesNoShimBehindWhenItFails(t *testing.T) {
	dir := t.TempDir()
	deaf := filepath.Join(dir, "deaf")
	if err := os.WriteFile(deaf, []byte("#!/bin/sh\nexec sleep 100\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	program, err := shim.Open(deaf)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		if _, err := shim.Start(ctx, program, dir); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want %v", err, context.Canceled)
		}
		if shim.New(dir).Listening() {
			t.Fatal("the killed shim still holds the socket")
		}
	}
}
