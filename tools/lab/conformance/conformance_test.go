package conformance

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A suite of upstream's kind: it passes specs with "good" in their names, fails
// those with "bad", and knows no others.
const fake = `#!/bin/sh
for a; do case $a in --ginkgo.focus=*) focus=$a ;; esac; done
case $focus in
*good*) echo "Ran 1 of 9 Specs"; echo "SUCCESS! -- 1 Passed | 0 Failed | 0 Pending | 8 Skipped" ;;
*bad*) echo "  [FAILED] expected pods"; echo "  to run"; echo "FAIL! -- 0 Passed | 1 Failed"; exit 1 ;;
*) echo "SUCCESS! -- 0 Passed | 0 Failed | 0 Pending | 9 Skipped" ;;
esac
`

func TestRun(t *testing.T) {
	dir := t.TempDir()
	suite := filepath.Join(dir, "e2e.test")
	if err := os.WriteFile(suite, []byte(fake), 0o755); err != nil {
		t.Fatal(err)
	}
	s := Suite{Binary: suite, Logs: filepath.Join(dir, "logs"), Parallel: 2, Limit: time.Minute}
	var order, good []string
	reasons := map[string]string{}
	err := s.Run(t.Context(), []string{"[Serial] good (alone)", "good [one]", "bad", "unknown"}, func(r Result) {
		order = append(order, r.Spec)
		if r.Passed {
			good = append(good, r.Spec)
		}
		reasons[r.Spec] = r.Reason
	})
	if err != nil {
		t.Fatal(err)
	}
	if slices.Sort(good); !slices.Equal(good, []string{"[Serial] good (alone)", "good [one]"}) {
		t.Errorf("got %q passed", good)
	}
	if order[len(order)-1] != "[Serial] good (alone)" {
		t.Errorf("got order %q, want the serial spec last", order)
	}
	if !strings.Contains(reasons["bad"], "expected pods") || !strings.Contains(reasons["unknown"], "no spec") {
		t.Errorf("got reasons %q", reasons)
	}
}

func TestRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(file, []byte("# why\n\n[sig-a] one\n  [sig-b] two \n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := Read(file)
	if err != nil || !slices.Equal(got, []string{"[sig-a] one", "[sig-b] two"}) {
		t.Errorf("got %q, %v", got, err)
	}
}
