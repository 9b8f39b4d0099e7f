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
