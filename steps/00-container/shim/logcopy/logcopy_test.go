package logcopy

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/k8s-groundup/groundup/steps/00-container/crilog"
)

type rig struct {
	t            *testing.T
	log, journal string
	flight       [2]*os.File
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir := t.TempDir()
	r, w := pipe(t)
	return &rig{t, filepath.Join(dir, "pod", "0.log"), filepath.Join(dir, "journal"), [2]*os.File{r, w}}
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

func (r *rig) copier() *Copier {
	r.t.Helper()
	c, err := New(r.log, r.journal, r.flight)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// copy copies a text as if a container had written it and ended.
func (r *rig) copy(c *Copier, stream, text string) {
	r.t.Helper()
	from, to := pipe(r.t)
	go func() {
		defer to.Close()
		if _, err := to.WriteString(text); err != nil {
			r.t.Error(err)
		}
	}()
	if err := c.Copy(r.t.Context(), stream, from); err != nil {
		r.t.Fatal(err)
	}
}

// lines are the log's entries as "stream tag content", without their times.
func lines(t *testing.T, path string) (out []string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		_, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		out = append(out, rest)
	}
	return out
}

func TestCopy(t *testing.T) {
	long := strings.Repeat("x", crilog.MaxContent+10)
	for _, c := range []struct {
		name, stream, text string
		want               []string
	}{
		{"nothing", crilog.Stdout, "", nil},
		{"lines", crilog.Stdout, "a\n\nb\n", []string{"stdout F a", "stdout F ", "stdout F b"}},
		{"no newline at the end", crilog.Stderr, "a", []string{"stderr P a"}},
		{"a long line", crilog.Stdout, long + "\n", []string{"stdout P " + long[:crilog.MaxContent], "stdout F " + long[crilog.MaxContent:]}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			copier := r.copier()
			r.copy(copier, c.stream, c.text)
			if err := copier.Close(); err != nil {
				t.Error(err)
			}
			if got := lines(t, r.log); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestCopyMoreThanAPipeHolds(t *testing.T) {
	r := newRig(t)
	var text strings.Builder
	var want []string
	for i := range 20_000 {
		fmt.Fprintf(&text, "line %d\n", i)
		want = append(want, fmt.Sprintf("line %d", i))
	}
	copier := r.copier()
	r.copy(copier, crilog.Stdout, text.String())
	if err := copier.Close(); err != nil {
		t.Error(err)
	}
	var whole strings.Builder // a chunk may end within a line
	for _, line := range lines(t, r.log) {
		tag, content := line[len("stdout ")], line[len("stdout F "):]
		whole.WriteString(content)
		if tag == 'F' {
			whole.WriteByte('\n')
		}
	}
	if got := strings.Split(strings.TrimSuffix(whole.String(), "\n"), "\n"); !slices.Equal(got, want) {
		t.Errorf("got %d lines, want %d, and these", len(got), len(want))
	}
}

func TestTap(t *testing.T) {
	r := newRig(t)
	copier := r.copier()
	from, to := pipe(t)
	gone := 0
	copier.Attach(&Tap{Stdout: to, Gone: func() { gone++ }})
	r.copy(copier, crilog.Stdout, "seen\n")
	r.copy(copier, crilog.Stderr, "not wanted\n")
	if err := copier.Close(); err != nil || gone != 1 {
		t.Errorf("close: %v; the tap was told %d times that it is over, want once", err, gone)
	}
	to.Close()
	buf := make([]byte, 100)
	if n, err := from.Read(buf); err != nil || string(buf[:n]) != "seen\n" {
		t.Errorf("got %q, %v; want what went to stdout", buf[:n], err)
	}
}

func TestNoLog(t *testing.T) {
	r := newRig(t)
	r.log = ""
	copier := r.copier()
	r.copy(copier, crilog.Stdout, strings.Repeat("into the void\n", 10_000)) // must not block its writer
	if err := copier.Close(); err != nil {
		t.Error(err)
	}
}

// A copier dies with a line in flight, before, while or after it appends it to
// the log. The next one must have it there once.
func TestSuccessorFinishesWhatIsInFlight(t *testing.T) {
	for _, c := range []struct {
		name string
		dies func(t *testing.T, r *rig, c *Copier)
		want []string
	}{
		{"before the append", func(*testing.T, *rig, *Copier) {}, []string{"stdout F before", "stderr F flying"}},
		{"within the append", func(t *testing.T, r *rig, c *Copier) { write(t, c.log, "2026-01-01T0") }, []string{"stdout F before", "stderr F flying"}},
		{"after the append", func(t *testing.T, r *rig, c *Copier) {
			if err := c.append(crilog.Stderr, []byte("flying\n")); err != nil {
				t.Fatal(err)
			}
		}, []string{"stdout F before", "stderr F flying"}},
		{"then the log was rotated", func(t *testing.T, r *rig, c *Copier) {
			if err := os.Rename(r.log, r.log+".1"); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(r.log, []byte("t stdout F this file is longer than the other one was\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, []string{"stdout F this file is longer than the other one was", "stderr F flying"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			first := r.copier()
			r.copy(first, crilog.Stdout, "before\n")
			note, err := first.here(crilog.Stderr)
			if err == nil {
				err = first.write(note)
			}
			if err != nil {
				t.Fatal(err)
			}
			write(t, first.flight[1], "flying\n")
			c.dies(t, r, first)

			next := r.copier()
			if got := lines(t, r.log); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			r.copy(next, crilog.Stdout, "after\n")
			if got := lines(t, r.log); !slices.Equal(got, append(c.want, "stdout F after")) {
				t.Errorf("then: got %q", got)
			}
			if err := next.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func write(t *testing.T, f *os.File, text string) {
	t.Helper()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}
