package state_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/k8s-groundup/groundup/steps/00-container/state"
)

// On any file system there is a directory afterwards, also the second time.
func TestMkdirSpread(t *testing.T) {
	for _, parent := range []string{t.TempDir(), "/dev/shm"} {
		dir, err := os.MkdirTemp(parent, "spread-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		dir = filepath.Join(dir, "a", "containers")
		for range 2 {
			if err := state.MkdirSpread(dir, 0o711); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Mkdir(filepath.Join(dir, "one"), 0o711); err != nil {
			t.Error(err)
		}
	}
}
