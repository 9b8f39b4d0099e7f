package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPageIntoAFile(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "page"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := page(strings.NewReader("# Pods\n\nA *pod* is `some` processes.\n"), f); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(f.Name())
	if err != nil || !strings.Contains(string(got), "# Pods") || strings.Contains(string(got), "\x1b") {
		t.Errorf("got %q, %v: want the text, without colours", got, err)
	}
}

func TestLinesOfCodeAreNotBroken(t *testing.T) {
	command := "bin/lab shell node-1 -- sh -c '" + strings.Repeat("echo hello; ", 20) + "'"
	text := "# Pods\n\n" + strings.Repeat("some prose ", 30) + "\n\n```sh\n" + command + "\n```\n\n```output\nhello\n```\n\nand on.\n"
	for _, style := range []string{"notty", "dark"} {
		out, err := render(text, style, 80)
		if err != nil {
			t.Fatal(err)
		}
		out = colour.ReplaceAllString(out, "")
		if !strings.Contains(out, command+"\n") {
			t.Errorf("%s: the command is not one line:\n%s", style, out)
		}
		for line := range strings.Lines(out) {
			if len(line) > 81 && !strings.Contains(line, command) {
				t.Errorf("%s: a line of prose has %d columns: %s", style, len(line), line)
			}
			if strings.HasSuffix(line, " \n") {
				t.Errorf("%s: spaces at the end of %q", style, line)
			}
		}
		if strings.Contains(out, "\n\n\n") {
			t.Errorf("%s: two blank lines:\n%s", style, out)
		}
	}
}
