package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/k8s-groundup/groundup/vms/machine"
	"github.com/k8s-groundup/groundup/vms/pace"
	"github.com/k8s-groundup/groundup/vms/repo"
)

// A tester runs the tests of packages in one machine.
type tester struct {
	options
	verbose bool
	pattern string
	timeout time.Duration
	built   bool
}

func testCommand() *cobra.Command {
	var t tester
	cmd := &cobra.Command{
		Use:   "test [flags] PACKAGE…",
		Short: "Run the tests of packages in a throw-away machine",
		Long: `test builds the test binary of each package on this computer, boots a machine with
a copy of the repository at the same path, and runs the binaries there as root,
one after the other, each in its package's folder. When a package has failed, the
machine is set back to how it was at first.

The machine has no Go: when a test runs go build -o, this computer does it.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return t.run(cmd, args) },
	}
	t.options.register(cmd)
	f := cmd.Flags()
	f.BoolVarP(&t.verbose, "verbose", "v", false, "show the output of packages that pass, too")
	f.StringVarP(&t.pattern, "run", "r", "", "only the tests that match this `expression`")
	f.DurationVar(&t.timeout, "timeout", 2*time.Minute, "of one package, stretched as much as the machine is slower")
	f.BoolVar(&t.built, "with-bin", false, "ship what is built in bin/, too")
	return cmd
}

func (t *tester) run(cmd *cobra.Command, patterns []string) error {
	ctx := cmd.Context()
	r, err := repo.Find()
	if err != nil {
		return err
	}
	pkgs, err := r.Packages(ctx, patterns)
	if err != nil {
		return err
	}
	conf, err := t.prepare(ctx, r, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	files, clean, err := tempDir()
	if err != nil {
		return err
	}
	defer clean()
	built, err := t.stage(ctx, r, files, pkgs, cmd.OutOrStdout())
	if err != nil {
		return err
	}
	conf.Files, conf.Temporary, conf.Mount, conf.Build = files, true, r.Dir, r.Build
	if err := t.testAll(ctx, r, conf, built, cmd.OutOrStdout()); err != nil {
		return err
	}
	if len(built) < len(pkgs) {
		return ExitCode(1)
	}
	return nil
}

// stage fills the folder that is shipped and returns the packages whose tests
// could be built; it reports the others in the manner of go test.
func (t *tester) stage(ctx context.Context, r repo.Repo, dir string, pkgs []repo.Package, out io.Writer) (built []repo.Package, err error) {
	if err := r.Stage(dir, t.built); err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Join(dir, repo.TestDir), 0o755); err != nil {
		return nil, err
	}
	for _, p := range pkgs {
		if err := r.BuildTest(ctx, p, r.TestBinary(dir, p)); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			fmt.Fprintf(out, "%v\nFAIL\t%s [build failed]\n", err, p.Path)
			continue
		}
		built = append(built, p)
	}
	if len(built) == 0 {
		return nil, ExitCode(1)
	}
	return built, nil
}

// pristine names the state that the machine is set back to.
const pristine = "pristine"

func (t *tester) testAll(ctx context.Context, r repo.Repo, conf machine.Config, pkgs []repo.Package, out io.Writer) error {
	e := newEvidence(r, "boot")
	conf.Console = &e.console
	m, err := machine.Boot(ctx, conf)
	if err != nil {
		return worker{repo: r, progress: out}.explain(ctx, e, nil, err)
	}
	defer m.Close()
	fmt.Fprintf(out, "# Linux %s, %s, booted in %.1fs, %.0f times slower than this computer\n",
		m.Kernel(), conf.Accel, m.Booted().Seconds(), m.Factor())
	if len(pkgs) > 1 {
		if err := m.Save(pristine); err != nil {
			return err
		}
	}
	failed := 0
	for i, p := range pkgs {
		ok, err := t.testOne(ctx, r, m, p, out, &e.console)
		if err != nil {
			return err
		}
		if !ok {
			failed++
			if i+1 < len(pkgs) {
				if err := m.Restore(ctx, pristine); err != nil {
					return err
				}
			}
		}
	}
	if failed > 0 {
		return ExitCode(1)
	}
	return nil
}

// testOne runs one package's tests and reports in the manner of go test. The
// error is the machine's.
func (t *tester) testOne(ctx context.Context, r repo.Repo, m *machine.Machine, p repo.Package, out io.Writer, console *lockedBuffer) (ok bool, err error) {
	e := newEvidence(r, filepath.Base(p.Path))
	show := e.also(io.Discard)
	if t.verbose {
		show = e.also(out)
	}
	limit := pace.Stretch(t.timeout, m.Factor())
	start := time.Now()
	err = runLimited(ctx, m, machine.Command{Args: t.command(r, p, limit), Dir: p.Dir, Stdout: show, Stderr: show}, t.timeout+time.Minute)
	took := time.Since(start).Seconds()
	if err == nil {
		fmt.Fprintf(out, "ok  \t%s\t%.1fs\n", p.Path, took)
		return true, nil
	}
	if !isExit(err) {
		err = errors.Join(fmt.Errorf("%s: %w", p.Path, err), ctx.Err())
		if ctx.Err() != nil {
			return false, err
		}
	}
	if !t.verbose {
		out.Write(e.output.bytes())
	}
	_, _ = e.console.Write(console.bytes()) // a buffer takes all
	dir, kept := e.keep(m)
	if kept != nil {
		return false, kept
	}
	fmt.Fprintf(out, "FAIL\t%s\t%.1fs\t(%v; console, kernel log and output are in %s)\n", p.Path, took, err, dir)
	return false, nil
}

func (t *tester) command(r repo.Repo, p repo.Package, limit time.Duration) []string {
	args := []string{r.TestBinary(r.Dir, p), "-test.timeout=" + limit.String(), "-test.paniconexit0"}
	if t.verbose {
		args = append(args, "-test.v")
	}
	if t.pattern != "" {
		args = append(args, "-test.run="+t.pattern)
	}
	return args
}
