package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTail(t *testing.T) {
	for _, c := range []struct {
		name, content string
		lines         int
		want          string
	}{
		{"the last ones", "a\nb\nc\n", 2, "b\nc\n"},
		{"all there are", "a\nb\n", 5, "a\nb\n"},
		{"without an end", "a\nb", 1, "b"},
		{"over a power cut", "before\n\x00\x00\x00after\n", 5, "before\nafter\n"},
		{"nothing but a power cut", "\x00\x00", 5, ""},
	} {
		file := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(file, []byte(c.content), 0o644); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := tail(t.Context(), &out, file, c.lines, false); err != nil || out.String() != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.name, out.String(), err, c.want)
		}
	}
}
