package repo

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/k8s-groundup/groundup/vms/wire"
)

func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func list(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			files = append(files, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestStage(t *testing.T) {
	dir := tree(t, map[string]string{
		"go.work": "", ".git/HEAD": "", "steps/a/bin/x": "", "bin/lab": "", "bin/vm/base/root": "", "build/x": "",
	})
	if err := os.Symlink("go.work", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		built bool
		want  []string
	}{
		{"the source", false, []string{"go.work", "link", "steps/a/bin/x"}},
		{"with what was built, but no images of machines", true, []string{"bin/lab", "go.work", "link", "steps/a/bin/x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := t.TempDir()
			if err := (Repo{dir}).Stage(to, c.built); err != nil {
				t.Fatal(err)
			}
			if got := list(t, to); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

const module = "module example.org/m\n\ngo 1.26.0\n"

func TestBuildForAMachine(t *testing.T) {
	t.Setenv("GOWORK", "off")
	dir := tree(t, map[string]string{
		"go.mod": module, "hello/main.go": "package main\n\nfunc main() {}\n", "broken/main.go": "package main\n\nfunc main() { x }\n",
	})
	outside := t.TempDir()
	touch := filepath.Join(t.TempDir(), "toolexec")
	if err := os.WriteFile(touch, []byte("#!/bin/sh\ntouch "+outside+"/ran\nexec \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, args, dir string
		code            int
		files, stderr   string
	}{
		{"a program", "build -o /tmp/x ./hello", dir, 0, "hello", ""},
		{"what does not compile", "build -o=/tmp/x ./broken", dir, 1, "", "undefined: x"},
		{"anything else", "run ./hello", dir, 1, "", "nothing but `go build -o FILE`"},
		{"without -o", "build ./hello", dir, 1, "", "nothing but `go build -o FILE`"},
		{"nothing at all", "", dir, 1, "", "nothing but `go build -o FILE`"},
		{"a list of packages", "list ./...", dir, 1, "", "nothing but `go build -o FILE`"},
		{"elsewhere", "build -o x .", outside, 1, "", "inside the repository"},
		{"elsewhere, by a detour", "build -o x .", dir + "/../" + filepath.Base(outside), 1, "", "inside the repository"},
		{"flags that are harmless", "build -trimpath -tags=seccomp -o x ./hello", dir, 0, "hello", ""},
		{"a program to run here", "build -toolexec=" + touch + " -o x ./hello", dir, 1, "", "no -toolexec"},
		{"a second -o", "build -o x -o " + outside + "/ ./hello", dir, 1, "", "no -o"},
		{"another spelling of -o", "build -o x --o=" + outside + "/ ./hello", dir, 1, "", "no --o"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var files []string
			got := Repo{dir}.Build(t.Context(), wire.Build{Args: strings.Fields(c.args), Dir: c.dir, Env: []string{"GOFLAGS=-toolexec=" + touch}}, func(file string, piece []byte) error {
				if !slices.Contains(files, file) {
					files = append(files, file)
				}
				return nil
			})
			if got.Code != c.code || strings.Join(files, " ") != c.files || !strings.Contains(got.Stderr, c.stderr) {
				t.Errorf("got %+v with %v, want code %d, %q and %q", got, files, c.code, c.files, c.stderr)
			}
		})
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("a machine has written %v here: %v", left, err)
	}
}

// The machine has the repository at the same path, so what the host says of modules
// is true there.
func TestModulesAreTold(t *testing.T) {
	t.Setenv("GOWORK", "off")
	dir := tree(t, map[string]string{"go.mod": module})
	for _, c := range []struct {
		of, stdout string
		code       int
	}{
		{"example.org/m", dir + "\n", 0},
		{"example.org/nobody", "", 1},
	} {
		got := Repo{dir}.Build(t.Context(), wire.Build{Args: []string{"list", "-m", "-f", "{{.Dir}}", c.of}, Dir: dir}, nil)
		if got.Stdout != c.stdout || got.Code != c.code {
			t.Errorf("%s: got %+v, want %q and code %d", c.of, got, c.stdout, c.code)
		}
	}
}

func TestPackagesHaveTests(t *testing.T) {
	t.Setenv("GOWORK", "off")
	dir := tree(t, map[string]string{
		"go.mod": module, "a/a.go": "package a\n", "b/b.go": "package b\n", "b/b_test.go": "package b\n", "c/c_test.go": "package c_test\n",
	})
	t.Chdir(dir)
	pkgs, err := Repo{dir}.Packages(context.Background(), []string{"./..."})
	if err != nil {
		t.Fatal(err)
	}
	want := []Package{{"example.org/m/b", dir + "/b"}, {"example.org/m/c", dir + "/c"}}
	if !slices.Equal(pkgs, want) {
		t.Errorf("got %v, want %v", pkgs, want)
	}
	if _, err := (Repo{dir}).Packages(context.Background(), []string{"./a"}); err == nil {
		t.Error("no tests: got no error")
	}
	if got := (Repo{dir}).TestBinary("/root", pkgs[0]); got != "/root/.vm-test/b.test" {
		t.Errorf("got %s", got)
	}
}

func TestSinceNamesWhatHasOtherContent(t *testing.T) {
	r := Repo{t.TempDir()}
	write := func(name, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(r.Dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(r.Dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("same", "1")
	write("bin/renewed", "1")
	write("changed", "1")
	write("bin/vm/base", "1")
	before, err := r.Snapshot(nil)
	if err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(filepath.Join(r.Dir, "bin/renewed"), later, later); err != nil {
		t.Fatal(err)
	}
	write("changed", "22")
	write("new", "1")
	write("bin/vm/base", "22")
	after, err := r.Snapshot(before)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := after.Since(before), []string{"changed", "new"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// What the steps' tests let go build is what a machine may let it build: they run in one,
// too (`make vm-test`).
func TestFlagsOfTheStepsAreKnown(t *testing.T) {
	flag := regexp.MustCompile("[\"`](-(?:ldflags|gcflags|tags|trimpath|buildvcs|race|mod|cover)\\b[^\"`]*)[\"`]")
	found := 0
	err := filepath.WalkDir("../../steps", func(path string, e os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range flag.FindAllStringSubmatch(string(text), -1) {
			found++
			if unknown(m[1:]) != "" {
				t.Errorf("%s: no machine builds anything with %s", path, m[1])
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if found == 0 {
		t.Error("no flag was found")
	}
}
