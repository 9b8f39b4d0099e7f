package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/k8s-groundup/groundup/steps/00-container/internal/runtimetest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"runtime": main})
}

// The scripts run the command as a person would, on directories of their own.
func TestScripts(t *testing.T) {
	runtimetest.NeedRoot(t)
	bin := runtimetest.Binaries(t)
	t.Cleanup(func() { os.RemoveAll(bin) })
	archive := filepath.Join(t.TempDir(), "guest.tar")
	runtimetest.WriteImage(t, archive)
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			if err := os.Chmod(env.WorkDir, 0o711); err != nil {
				return err
			}
			env.Setenv("ARCHIVE", archive)
			env.Setenv("IMAGE", runtimetest.Image)
			env.Setenv("ROOT", filepath.Join(env.WorkDir, "root"))
			env.Setenv("STATE", filepath.Join(env.WorkDir, "state"))
			env.Setenv("SHIM", filepath.Join(bin, "runtime-shim"))
			env.Setenv("CGROUP", fmt.Sprintf("/groundup-test-cli-%d-%s", os.Getpid(), filepath.Base(env.WorkDir)))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"r": r},
	})
}

// r is the runtime with the flags that keep it inside the test's directories.
func r(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec("runtime", append([]string{
		"--root", ts.Getenv("ROOT"), "--state", ts.Getenv("STATE"), "--shim", ts.Getenv("SHIM"), "--cgroup-parent", ts.Getenv("CGROUP"),
	}, args...)...)
	if neg && err == nil {
		ts.Fatalf("runtime %v succeeded", args)
	}
	if !neg && err != nil {
		ts.Fatalf("runtime %v: %v", args, err)
	}
}
