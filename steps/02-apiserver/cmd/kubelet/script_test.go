package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/nodetest"
)

// TestScripts runs the binary as a person would, with what is wrong.
func TestScripts(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			bin := filepath.Join(env.WorkDir, ".bin")
			env.Setenv("PATH", bin+":"+os.Getenv("PATH"))
			env.Setenv(nodetest.AsKubelet, "1")
			if err := os.Mkdir(bin, 0o755); err != nil {
				return err
			}
			return os.Symlink(self, filepath.Join(bin, "kubelet"))
		},
	})
}
