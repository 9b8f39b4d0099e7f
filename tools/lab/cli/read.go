package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/charmbracelet/glamour"
	"github.com/k8s-groundup/groundup/tools/lab/guide"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func readCommand() *cobra.Command {
	var quote, record, check bool
	var file string
	cmd := &cobra.Command{
		Use:   "read [STEP|LAB]",
		Short: "The guide of a step, rendered in the terminal",
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
			return page(cmd.OutOrStdout(), string(text))
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
			// A guide's make is the learner's own, not a part of the one we may run in.
			sh.Env = slices.DeleteFunc(append(os.Environ(), runner.Env...), func(v string) bool {
				return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS=")
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

// page renders Markdown for the terminal, through the learner's pager when there
// is one and something to page.
func page(w io.Writer, text string) error {
	width, style, tty := 100, "notty", false
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		tty, style = true, "auto"
		if cols, _, err := term.GetSize(int(f.Fd())); err == nil {
			width = min(cols, 110)
		}
	}
	r, err := glamour.NewTermRenderer(glamour.WithStandardStyle(style), glamour.WithWordWrap(width))
	if err != nil {
		return err
	}
	out, err := r.Render(text)
	if err != nil {
		return err
	}
	if less, err := exec.LookPath("less"); err == nil && tty {
		cmd := exec.Command(less, "-RFX")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewBufferString(out), os.Stdout, os.Stderr
		return cmd.Run()
	}
	_, err = io.WriteString(w, out)
	return err
}
