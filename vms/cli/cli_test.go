package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/vms/repo"
)

var real = flag.Bool("boot", false, "boot real machines")

func TestMain(m *testing.M) {
	if slow := os.Getenv("TEST_SLOW_HOLDER"); slow != "" && len(os.Args) > 1 && os.Args[1] == "hold" {
		slowHolder(slow)
	}
	testscript.Main(m, map[string]func(){
		"vm": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
			defer stop()
			err := New().ExecuteContext(ctx)
			var exit ExitCode
			switch {
			case errors.As(err, &exit):
				os.Exit(int(exit))
			case err != nil:
				fmt.Fprintf(os.Stderr, "vm: %v\n", err)
				os.Exit(1)
			}
		},
	})
}

func TestScripts(t *testing.T) {
	r, err := repo.Find()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("GROUNDUP_REPO", r.Dir)
			for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS", "HOME"} {
				env.Setenv(name, os.Getenv(name))
			}
			if os.Getenv("GOCACHE") == "" {
				cache, err := os.UserCacheDir()
				if err != nil {
					return err
				}
				env.Setenv("GOCACHE", filepath.Join(cache, "go-build"))
			}
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "boot" {
				return *real, nil
			}
			return false, fmt.Errorf("unknown condition %s", cond)
		},
	})
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		job  job
		want string
	}{
		{job{nodes: 1}, ""},
		{job{nodes: 1, mount: "/usr/local/src"}, ""},
		{job{nodes: 1, files: "."}, ""},
		{job{nodes: 1, mount: "/usr/"}, "would cover"},
		{job{nodes: 1, files: "/"}, "would cover"},
		{job{nodes: 1, mount: "relative"}, "absolute"},
		{job{nodes: 0}, "--nodes 0"},
		{job{nodes: 1, options: options{accel: "fast"}}, "kvm or tcg"},
	} {
		err := c.job.check()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.job, err, c.want)
		}
	}
}

func TestPrefixerWritesWholeLines(t *testing.T) {
	var out bytes.Buffer
	p := &prefixer{mu: new(sync.Mutex), w: &out, prefix: "a | "}
	for _, piece := range []string{"on", "e\ntwo\nth", "ree"} {
		if _, err := p.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	p.flush()
	p.flush()
	if want := "a | one\na | two\na | three\n"; out.String() != want {
		t.Errorf("got %q, want %q", &out, want)
	}
}

func TestOldFailuresGo(t *testing.T) {
	dir := t.TempDir()
	for i := range keptFailures + 3 {
		if err := os.Mkdir(filepath.Join(dir, fmt.Sprintf("%02d", i)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := prune(dir); err != nil {
		t.Fatal(err)
	}
	left, _ := os.ReadDir(dir)
	if len(left) != keptFailures || left[0].Name() != "03" {
		t.Errorf("got %v, want the newest %d", left, keptFailures)
	}
}

func TestEvidenceIsKept(t *testing.T) {
	e := newEvidence(repo.Repo{Dir: t.TempDir()}, "steps/x")
	var shown bytes.Buffer
	fmt.Fprint(e.also(&shown), "output")
	fmt.Fprint(&e.console, "console")
	dir, err := e.keep(nil)
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"output.log": "output", "console.log": "console"} {
		if got, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", file, got, err, want)
		}
	}
	if shown.String() != "output" || !strings.HasSuffix(dir, "-steps_x") {
		t.Errorf("got %q in %s", &shown, dir)
	}
}
