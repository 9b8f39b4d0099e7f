package crilog_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/k8s-groundup/groundup/steps/00-container/crilog"
)

var at = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

func TestAppend(t *testing.T) {
	const stamp = "2026-01-02T03:04:05.000000006Z stdout "
	long := strings.Repeat("x", crilog.MaxContent+3)
	for _, test := range []struct{ name, in, want string }{
		{"nothing", "", ""},
		{"a line", "a\n", stamp + "F a\n"},
		{"an empty line", "\n", stamp + "F \n"},
		{"two lines", "a\nb\n", stamp + "F a\n" + stamp + "F b\n"},
		{"no end", "a", stamp + "P a\n"},
		{"too long", long + "\n", stamp + "P " + long[:crilog.MaxContent] + "\n" + stamp + "F xxx\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := string(crilog.Append(nil, at, crilog.Stdout, []byte(test.in))); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestParseRefusesWhatIsNoEntry(t *testing.T) {
	for _, line := range []string{"", "x", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z stdout", "2026-01-02T03:04:05Z stdout F", "yesterday stdout F x", "2026-01-02T03:04:05Z stdin F x"} {
		if e, err := crilog.Parse([]byte(line)); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", line, e)
		}
	}
}

// What was encoded must come back, whatever it is.
func FuzzAppendParse(f *testing.F) {
	f.Add([]byte("a\nb"))
	f.Add([]byte("\r\n\x00\xff\n"))
	f.Fuzz(func(t *testing.T, output []byte) {
		var got []byte
		for line := range bytes.Lines(crilog.Append(nil, at, crilog.Stderr, output)) {
			e, err := crilog.Parse(line)
			if err != nil || e.Stream != crilog.Stderr || !e.Time.Equal(at) {
				t.Fatalf("Parse(%q) = %v, %v", line, e, err)
			}
			got = append(got, e.Content...)
			if !e.Partial {
				got = append(got, '\n')
			}
		}
		if !bytes.Equal(got, output) {
			t.Fatalf("got %q, want %q", got, output)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("2026-01-02T03:04:05Z stdout F x"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if e, err := crilog.Parse(line); err == nil && e.Stream != crilog.Stdout && e.Stream != crilog.Stderr {
			t.Errorf("Parse(%q) = %v", line, e)
		}
	})
}

func writeLog(t *testing.T, chunks ...string) string {
	t.Helper()
	var data []byte
	for i, c := range chunks {
		stream := crilog.Stdout
		if rest, ok := strings.CutPrefix(c, "!"); ok { // to stderr
			stream, c = crilog.Stderr, rest
		}
		data = crilog.Append(data, at.Add(time.Duration(i)*time.Second), stream, []byte(c))
	}
	path := filepath.Join(t.TempDir(), "0.log")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRead(t *testing.T) {
	n := func(v int64) *int64 { return &v }
	path := writeLog(t, "one\n", "!oops\n", "tw", "o\n", "three\n", "end")
	for _, test := range []struct {
		name        string
		opts        crilog.Options
		out, errOut string
	}{
		{"all", crilog.Options{}, "one\ntwo\nthree\nend", "oops\n"},
		{"last two", crilog.Options{TailLines: n(2)}, "three\nend", ""},
		{"a line in two entries is one line", crilog.Options{TailLines: n(3)}, "two\nthree\nend", ""},
		{"none", crilog.Options{TailLines: n(0)}, "", ""},
		{"more than there are", crilog.Options{TailLines: n(99)}, "one\ntwo\nthree\nend", "oops\n"},
		{"seven bytes", crilog.Options{LimitBytes: n(7)}, "one\n", "oop"},
		{"since", crilog.Options{Since: at.Add(4 * time.Second)}, "three\nend", ""},
		{"times at the beginning of lines", crilog.Options{TailLines: n(3), Timestamps: true},
			"2026-01-02T03:04:07.000000006Z two\n2026-01-02T03:04:09.000000006Z three\n2026-01-02T03:04:10.000000006Z end", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			if err := crilog.Read(t.Context(), path, test.opts, &out, &errOut); err != nil {
				t.Fatal(err)
			}
			if out.String() != test.out || errOut.String() != test.errOut {
				t.Errorf("got %q, %q, want %q, %q", out.String(), errOut.String(), test.out, test.errOut)
			}
		})
	}
}

// A lines collects output and lets a test wait for it.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func (l lines) expect(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-l:
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("nothing within 10s, want %q", want)
	}
}

func appendLog(t *testing.T, path, output string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(crilog.Append(nil, at, crilog.Stdout, []byte(output))); err != nil {
		t.Fatal(err)
	}
}

func TestFollowSurvivesRotation(t *testing.T) {
	path := writeLog(t, "first\n")
	ctx, cancel := context.WithCancel(t.Context())
	out, done := make(lines, 16), make(chan error, 1)
	go func() { done <- crilog.Read(ctx, path, crilog.Options{Follow: true}, out, out) }()
	out.expect(t, "first\n")
	appendLog(t, path, "second\n")
	out.expect(t, "second\n")
	if rotated, err := crilog.Rotate(path, crilog.Limit{MaxBytes: 1, MaxFiles: 2}); err != nil || !rotated {
		t.Fatal(rotated, err)
	}
	appendLog(t, path+".1", "late, to the old file\n")
	appendLog(t, path, "to the new one\n")
	out.expect(t, "late, to the old file\n")
	out.expect(t, "to the new one\n")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestFollowEnds(t *testing.T) {
	path := writeLog(t, "only\n")
	out := make(lines, 16)
	err := crilog.Read(t.Context(), path, crilog.Options{Follow: true, Ended: func() bool { return true }}, out, out)
	if err != nil {
		t.Fatal(err)
	}
	out.expect(t, "only\n")
}

func TestRotateKeepsSoManyFiles(t *testing.T) {
	path := writeLog(t, "0\n")
	for range 4 {
		if _, err := crilog.Rotate(path, crilog.Limit{MaxBytes: 1, MaxFiles: 3}); err != nil {
			t.Fatal(err)
		}
		appendLog(t, path, "x\n")
	}
	if rotated, err := crilog.Rotate(path, crilog.Limit{MaxBytes: 1 << 20, MaxFiles: 3}); rotated || err != nil {
		t.Errorf("a small log: got %v, %v", rotated, err)
	}
	found, err := filepath.Glob(path + "*")
	if err != nil || len(found) != 3 {
		t.Errorf("got %v, %v, want three files", found, err)
	}
}

// A log goes with the older ones, and with nobody else's.
func TestRemoveAndRestore(t *testing.T) {
	path := writeLog(t, "0\n")
	other := path + "2" // 0.log2
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := crilog.Rotate(path, crilog.Limit{MaxBytes: 1, MaxFiles: 3}); err != nil {
		t.Fatal(err)
	}
	if err := crilog.Restore(path); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(path); !strings.HasSuffix(string(data), " F 0\n") {
		t.Errorf("restored: got %q, %v", data, err)
	}
	if _, err := crilog.Rotate(path, crilog.Limit{MaxBytes: 1, MaxFiles: 3}); err != nil {
		t.Fatal(err)
	}
	appendLog(t, path, "1\n")
	for range 2 { // the second time there is nothing
		if err := crilog.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := filepath.Glob(path + "*"); err != nil || len(left) != 1 || left[0] != other {
		t.Errorf("got %v, %v left, want %s alone", left, err, other)
	}
	if err := crilog.Remove("/no/such/directory/0.log"); err != nil {
		t.Errorf("without a directory: %v", err)
	}
}
