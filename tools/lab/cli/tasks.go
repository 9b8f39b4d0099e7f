package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/k8s-groundup/groundup/tools/lab/check"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// loadTasks returns the tasks of the running step and what runs them.
func loadTasks(args []string) ([]check.Check, check.Runner, error) {
	if err := asRoot("looking into nodes"); err != nil {
		return nil, check.Runner{}, err
	}
	s, dir, lab, err := chooseLab(args)
	if err != nil {
		return nil, check.Runner{}, err
	}
	if err := needCluster(s, lab); err != nil {
		return nil, check.Runner{}, err
	}
	tasks := filepath.Join(lab, "tasks")
	if _, err := os.Stat(tasks); errors.Is(err, fs.ErrNotExist) {
		return nil, check.Runner{}, fmt.Errorf("%s has no tasks", filepath.Base(lab))
	}
	all, err := check.Load(tasks)
	if err != nil {
		return nil, check.Runner{}, err
	}
	runner, err := checkRunner(dir, open())
	return all, runner, err
}

func tasksCommand() *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:               "tasks [STEP|LAB]",
		ValidArgsFunction: completeSteps,
		Short:             "The tasks of a step, live: they tick themselves off as the cluster gets there",
		Args:              cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			tasks, runner, err := loadTasks(args)
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			f, ok := w.(*os.File)
			if once || !ok || !term.IsTerminal(int(f.Fd())) {
				open := printTasks(cmd.Context(), w, runner, tasks, make([]bool, len(tasks)))
				if open > 0 {
					return ExitCode(1)
				}
				return nil
			}
			return watchTasks(cmd.Context(), w, runner, tasks)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "look once; the exit code says whether all are done")
	return cmd
}

func watchTasks(ctx context.Context, w io.Writer, runner check.Runner, tasks []check.Check) error {
	done := make([]bool, len(tasks))
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		fmt.Fprint(w, "\x1b[H\x1b[2J")
		if printTasks(ctx, w, runner, tasks, done) == 0 {
			fmt.Fprintf(w, "\n%s `lab verify` proves the whole step.\n", green.Render("All done."))
			return nil
		}
		fmt.Fprintf(w, "\n%s\n", faint.Render("lab hint ID · lab solve ID · Ctrl-C leaves"))
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// printTasks asks about the tasks that are not done and returns how many stay
// open. What was done once stays done.
func printTasks(ctx context.Context, w io.Writer, runner check.Runner, tasks []check.Check, done []bool) (open int) {
	for i, t := range tasks {
		done[i] = done[i] || runner.Probe(ctx, t).Passed
		mark := faint.Render("○")
		if done[i] {
			mark = green.Render("✓")
		} else {
			open++
		}
		fmt.Fprintf(w, "  %s %s  %s\n", mark, bold.Render(t.Title), faint.Render(t.ID))
		if !done[i] {
			fmt.Fprintf(w, "      %s\n", t.Task)
		}
	}
	return open
}

// oneTask finds a task by its id, in the step's lab or in the one that comes second.
func oneTask(args []string) (check.Check, check.Runner, error) {
	tasks, runner, err := loadTasks(args[1:])
	if err != nil {
		return check.Check{}, runner, err
	}
	for _, t := range tasks {
		if t.ID == args[0] {
			return t, runner, nil
		}
	}
	return check.Check{}, runner, fmt.Errorf("there is no task %q: there are %s", args[0], strings.Join(ids(tasks), ", "))
}

func hintCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "hint TASK [STEP|LAB]",
		Short: "What a task still lacks, and what to try",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, runner, err := oneTask(args)
			if err != nil {
				return err
			}
			start := time.Now()
			res := runner.Probe(cmd.Context(), t)
			res.Took = time.Since(start)
			printResult(cmd.OutOrStdout(), res)
			return nil
		},
	}
}

func solveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "solve TASK [STEP|LAB]",
		Short: "Do what a task asks, and show it",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, runner, err := oneTask(args)
			if err != nil {
				return err
			}
			text, err := check.Function(t.File, "solve")
			if err != nil {
				return err
			}
			fmt.Fprint(cmd.OutOrStdout(), faint.Render(text)+"\n")
			out, err := runner.Solve(cmd.Context(), t)
			fmt.Fprint(cmd.OutOrStdout(), out)
			return err
		},
	}
}
