package state

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A node on which jobs come and go for months has had many files.
func TestCacheForgetsFilesThatAreGone(t *testing.T) {
	dir := t.TempDir()
	stays := filepath.Join(dir, "stays.json")
	if err := Write(stays, "here"); err != nil {
		t.Fatal(err)
	}
	var c Cache[string]
	for i := range 1000 {
		path := filepath.Join(dir, fmt.Sprintf("%d.json", i))
		if err := Write(path, "here"); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{path, stays} {
			if got, err := c.Read(path); err != nil || *got != "here" {
				t.Fatalf("got %v, %v", got, err)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(c.entries); n > 200 {
		t.Errorf("%d entries are left of one file that is there", n)
	}
	if _, ok := c.entries[stays]; !ok {
		t.Error("the one that is there was forgotten")
	}
}
