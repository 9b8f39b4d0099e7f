package userns

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

func get(t *testing.T, a *Allocator, uid types.UID) uint32 {
	t.Helper()
	r, err := a.Get(uid)
	if err != nil {
		t.Fatal(err)
	}
	return r.First
}

func TestRangesAreDistinctAndKept(t *testing.T) {
	dir := t.TempDir()
	a, err := New(dir, 2)
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, a, "one"); got != Length {
		t.Errorf("first range: got %d, want %d: the node's own ids end below it", got, Length)
	}
	two := get(t, a, "two")
	if again := get(t, a, "two"); again != two || two == Length {
		t.Errorf("got %d, then %d for the same pod", two, again)
	}
	if _, err := a.Get("three"); !errors.Is(err, ErrExhausted) {
		t.Errorf("third of two pods: got %v, want ErrExhausted", err)
	}

	restarted, err := New(dir, 2)
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, restarted, "two"); got != two {
		t.Errorf("after a restart: got %d, want %d", got, two)
	}
	if err := restarted.Release("one"); err != nil {
		t.Fatal(err)
	}
	if err := restarted.Release("one"); err != nil {
		t.Errorf("second release: %v", err)
	}
	if got := get(t, restarted, "three"); got != Length {
		t.Errorf("got %d, want the released range %d", got, Length)
	}
}

func TestRecoveryKeepsRangesAboveALoweredLimit(t *testing.T) {
	dir := t.TempDir()
	a, err := New(dir, 3)
	if err != nil {
		t.Fatal(err)
	}
	get(t, a, "one")
	get(t, a, "two")
	three := get(t, a, "three")
	lower, err := New(dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, lower, "three"); got != three {
		t.Errorf("got %d, want %d", got, three)
	}
}

func TestRecoveryRefusesWhatItCannotTrust(t *testing.T) {
	for _, tt := range []struct{ name, content string }{
		{"cut short", `{"hostId":`},
		{"the node's own ids", `{"hostId":0}`},
		{"not aligned", `{"hostId":65537}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.MkdirAll(filepath.Join(dir, "uid"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "uid", recordName), []byte(tt.content), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := New(dir, 4); err == nil {
				t.Error("no error")
			}
		})
	}
}
