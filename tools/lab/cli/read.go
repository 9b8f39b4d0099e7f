package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/k8s-groundup/groundup/tools/lab/guide"
	"github.com/spf13/cobra"
)

func readCommand() *cobra.Command {
	var quote, record, check bool
	var file string
	cmd := &cobra.Command{
		Use:               "read [STEP|LAB]",
		ValidArgsFunction: completeSteps,
		Short:             "The guide of a step, rendered in the terminal",
		Long: `read renders labs/NN-name/guide.md. The code it quotes is copied from the compiled
source, and the output it shows was printed by a real run: --quote and --record
copy and run again, and --check says whether either has changed.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := repo()
			if err != nil {
				return err
			}
			if file == "" {
				_, _, lab, err := chooseLab(args)
				if err != nil {
					return err
				}
				file = filepath.Join(lab, "guide.md")
			}
			if quote || record {
				return refresh(cmd.Context(), cmd.OutOrStdout(), dir, file, quote, record, check)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			return show(cmd.Context(), cmd.OutOrStdout(), dir, string(text))
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "another Markdown `file` than the step's guide")
	cmd.Flags().BoolVar(&quote, "quote", false, "fill in the quoted source again")
	cmd.Flags().BoolVar(&record, "record", false, "run the commands on the running cluster and fill in their output")
	cmd.Flags().BoolVar(&check, "check", false, "with --quote or --record: change nothing, fail when something would change")
	return cmd
}

func refresh(ctx context.Context, w io.Writer, dir, file string, quote, record, check bool) error {
	if record {
		if err := asRoot("running the guide's commands"); err != nil {
			return err
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if file, err = filepath.Abs(file); err != nil {
		return err
	}
	g, err := guide.Parse(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if quote {
		n, err := g.Quote(dir)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		fmt.Fprintf(w, "%s: %d quotations\n", rel(dir, file), n)
	}
	if record {
		runner, err := checkRunner(dir, open())
		if err != nil {
			return err
		}
		n, err := g.Record(func(command string) (string, error) {
			sh := exec.CommandContext(ctx, "sh", "-c", command)
			sh.Dir = dir
			// A guide's make is the learner's own, not a part of the one we may run in; and it
			// takes NODES, by which checks know how many there are, for how many there shall be.
			sh.Env = slices.DeleteFunc(append(os.Environ(), runner.Env...), func(v string) bool {
				return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS=") || strings.HasPrefix(v, "NODES=")
			})
			out, err := sh.CombinedOutput()
			return string(out), err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		fmt.Fprintf(w, "%s: %d commands ran\n", rel(dir, file), n)
	}
	if g.String() == string(text) {
		return nil
	}
	if check {
		how := "--quote" // and nothing is run that was not asked for
		if record {
			how = "--record"
		}
		return fmt.Errorf("%s no longer says what is true:\n%s\n`lab read --file %[1]s %[3]s` brings it up to date", rel(dir, file), guide.FirstDifference(string(text), g.String()), how)
	}
	return os.WriteFile(file, []byte(g.String()), 0o644)
}

// show renders Markdown for the terminal.
func show(ctx context.Context, w io.Writer, dir, text string) error {
	page := exec.CommandContext(ctx, filepath.Join(dir, "bin", "lab-page"))
	page.Stdin, page.Stdout, page.Stderr = strings.NewReader(text), w, os.Stderr
	err := page.Run()
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: `make lab` builds it", err)
	}
	return err
}
