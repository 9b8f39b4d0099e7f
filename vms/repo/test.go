package repo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A Package has tests.
type Package struct {
	Path string // its import path
	Dir  string
}

// Packages lists the packages with tests that go's patterns, relative to the
// working directory, mean.
func (r Repo) Packages(ctx context.Context, patterns []string) ([]Package, error) {
	const format = "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}\t{{.Dir}}{{end}}"
	cmd := exec.CommandContext(ctx, "go", append([]string{"list", "-f", format}, patterns...)...)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return nil, fmt.Errorf("%s: %w\n%s", cmd, err, exit.Stderr)
		}
		return nil, fmt.Errorf("%s: %w", cmd, err)
	}
	var pkgs []Package
	for line := range strings.Lines(string(out)) {
		path, dir, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if ok {
			pkgs = append(pkgs, Package{path, dir})
		}
	}
	if len(pkgs) == 0 {
		return nil, fmt.Errorf("no package of %s has tests", strings.Join(patterns, " "))
	}
	return pkgs, nil
}

// staticFlags make a program, with C or without, that brings all it needs: the
// machine's C library is not this computer's. There is no race detector: emulated,
// it costs minutes, and it runs on this computer already.
var staticFlags = []string{"-tags=netgo,osusergo", "-ldflags=-extldflags=-static"}

// BuildTest builds a package's test binary.
func (r Repo) BuildTest(ctx context.Context, p Package, out string) error {
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"test", "-c", "-o", out}, staticFlags...), ".")...)
	cmd.Dir = p.Dir
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the tests of %s: %w\n%s", p.Path, err, text)
	}
	return nil
}

// TestDir is where the staged repository has test binaries.
const TestDir = ".vm-test"

// TestBinary is the path of a package's test binary below a (staged) repository.
func (r Repo) TestBinary(root string, p Package) string {
	rel, err := filepath.Rel(r.Dir, p.Dir)
	if err != nil {
		rel = p.Path
	}
	return filepath.Join(root, TestDir, strings.ReplaceAll(rel, string(os.PathSeparator), "_")+".test")
}
