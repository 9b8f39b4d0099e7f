package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

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
			env.Defer(func() { // a script that fails half way leaves pods
				if out, err := exec.Command("runtime", append(flags(env.Getenv), "reset")...).CombinedOutput(); err != nil {
					t.Errorf("reset: %v: %s", err, out)
				}
			})
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"r": r, "wait-gone": waitGone, "wait-stdout": waitStdout},
	})
}

// r is the runtime with the flags that keep it inside the test's directories.
func r(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec("runtime", append(flags(ts.Getenv), args...)...)
	if neg && err == nil {
		ts.Fatalf("runtime %v succeeded", args)
	}
	if !neg && err != nil {
		ts.Fatalf("runtime %v: %v", args, err)
	}
}

func flags(env func(string) string) []string {
	return []string{"--root", env("ROOT"), "--state", env("STATE"), "--shim", env("SHIM"), "--cgroup-parent", env("CGROUP")}
}

// waitStdout polls until a command's output matches: wait-stdout PATTERN COMMAND...
func waitStdout(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile("(?m)" + args[0])
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		r(ts, false, args[1:])
		if pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
	}
	ts.Fatalf("runtime %v prints nothing like %q within 20s", args[1:], args[0])
}

// waitGone polls until no container of this name is listed.
func waitGone(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		r(ts, false, []string{"ps", "-a"})
		if !strings.Contains(ts.ReadFile("stdout"), " "+args[0]+" ") {
			return
		}
	}
	ts.Fatalf("container %s is still there after 20s", args[0])
}
