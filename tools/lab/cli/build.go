package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/k8s-groundup/groundup/tools/lab/step"
	"github.com/spf13/cobra"
)

func buildCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "build [STEP]",
		ValidArgsFunction: completeSteps,
		Short:             "Build a step's programs into bin/step-NN and its images into bin/archives",
		Args:              cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, dir, err := chooseStep(args)
			if err != nil {
				return err
			}
			return build(cmd.Context(), dir, s, newReporter(cmd.OutOrStdout()))
		},
	}
}

// chooseStep loads the step that args name, the running cluster's when they name
// none, or else the last one.
func chooseStep(args []string) (*step.Step, string, error) {
	dir, err := repo()
	if err != nil {
		return nil, "", err
	}
	n, err := number(dir, args)
	if err != nil {
		return nil, "", err
	}
	s, err := step.Load(dir, n)
	return s, dir, err
}

func number(dir string, args []string) (int, error) {
	if len(args) > 0 {
		return step.Parse(args[0])
	}
	if state, err := open().State(); err == nil {
		return state.Step, nil
	}
	all, err := step.List(dir)
	if err != nil {
		return 0, err
	}
	return step.Parse(all[len(all)-1])
}

func binDir(repo string, s *step.Step) string {
	return filepath.Join(repo, "bin", fmt.Sprintf("step-%02d", s.Number))
}

func imageDir(repo string) string { return filepath.Join(repo, "bin", "archives") }

func specOf(repo string, s *step.Step, nodes int) cluster.Spec {
	return cluster.Spec{Step: s, Nodes: nodes, Binaries: binDir(repo, s), Images: imageDir(repo)}
}

// build makes the programs of the step and its images. The go command knows
// what is up to date.
func build(ctx context.Context, repo string, s *step.Step, r *reporter) error {
	mains, err := s.Binaries()
	if err != nil {
		return err
	}
	var pure []string
	for _, name := range slices.Sorted(maps.Keys(mains)) {
		if !slices.Contains(s.Cgo, name) {
			pure = append(pure, "./"+rel(repo, mains[name]))
		}
	}
	if err := r.do("build the programs", func() error {
		if err := goBuild(ctx, repo, "bin/", "./tools/lab/cmd/node-init", "./tools/images/cmd/images"); err != nil {
			return err
		}
		return goBuild(ctx, repo, rel(repo, binDir(repo, s))+"/", pure...)
	}); err != nil {
		return err
	}
	if err := r.do("build "+strings.Join(s.Cgo, ", "), func() error {
		if _, err := exec.LookPath("gcc"); err != nil {
			return fmt.Errorf("the container init needs a C compiler, and there is no gcc here: `make deps` installs it")
		}
		for _, name := range s.Cgo {
			if err := goBuildStatic(ctx, repo, rel(repo, binDir(repo, s))+"/", "./"+rel(repo, mains[name])); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	if err := r.do("build the images "+strings.Join(s.Images, ", "), func() error {
		return run(ctx, repo, nil, append([]string{"bin/images", "build", "-o", rel(repo, imageDir(repo))}, s.Images...)...)
	}); err != nil {
		return err
	}
	return buildControlPlane(ctx, repo, s, r)
}

// buildControlPlane makes the images of the step's components, from its
// programs, and the clients that come with an API server.
func buildControlPlane(ctx context.Context, repo string, s *step.Step, r *reporter) error {
	if !s.ControlPlane {
		return nil
	}
	if err := r.do("build the images "+strings.Join(s.Components, ", "), func() error {
		argv := []string{"bin/images", "component", "-o", rel(repo, binDir(repo, s))}
		for _, name := range s.Components {
			argv = append(argv, rel(repo, filepath.Join(binDir(repo, s), name)))
		}
		return run(ctx, repo, nil, argv...)
	}); err != nil {
		return err
	}
	return r.do("build "+strings.Join(cluster.Clients, ", ")+" (the first time takes minutes)", func() error {
		return run(ctx, repo, nil, "tools/clients/build.sh", "bin")
	})
}

func rel(repo, path string) string {
	if r, err := filepath.Rel(repo, path); err == nil {
		return r
	}
	return path
}

const buildTags = "netgo,osusergo"

// goBuild builds programs in pure Go.
func goBuild(ctx context.Context, repo, out string, packages ...string) error {
	argv := []string{"go", "build", "-trimpath", "-tags=" + buildTags, "-ldflags=-s -w", "-o", out}
	return run(ctx, repo, []string{"CGO_ENABLED=0"}, append(argv, packages...)...)
}

// goBuildStatic builds a program that links C statically: with libseccomp, where
// its static library is installed, so that RuntimeDefault is a filter.
func goBuildStatic(ctx context.Context, repo, out, main string) error {
	tags := buildTags
	if exec.CommandContext(ctx, "pkg-config", "--exists", "libseccomp").Run() == nil {
		tags += ",seccomp"
	}
	argv := []string{"go", "build", "-trimpath", "-tags=" + tags, "-ldflags=-s -w -extldflags=-static", "-o", out, main}
	return run(ctx, repo, []string{"CGO_ENABLED=1"}, argv...)
}

var errInterrupted = errors.New("interrupted: the same command goes on where this one was")

// run runs a program of the build and shows what it said only when it failed.
func run(ctx context.Context, dir string, env []string, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	if strings.Contains(argv[0], "/") {
		cmd.Path = filepath.Join(dir, argv[0])
	}
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return errInterrupted
		}
		return fmt.Errorf("%s: %w\n%s", strings.Join(append(env, argv...), " "), err, out)
	}
	return nil
}

func listCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list [STEP]",
		Short: "List the steps, or which main package each program of a step comes from",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := repo()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return listSteps(cmd.OutOrStdout(), dir)
			}
			s, _, err := chooseStep(args)
			if err != nil {
				return err
			}
			mains, err := s.Binaries()
			if err != nil {
				return err
			}
			for _, name := range slices.Sorted(maps.Keys(mains)) {
				fmt.Fprintf(cmd.OutOrStdout(), "%-24s %s\n", name, rel(dir, mains[name]))
			}
			return nil
		},
	}
}

func listSteps(w io.Writer, dir string) error {
	names, err := step.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		n, err := step.Parse(name)
		if err != nil {
			return err
		}
		s, err := step.Load(dir, n)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%-16s %s\n", name, s.Proves)
	}
	return nil
}
