package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/k8s-groundup/groundup/tools/lab/check"
	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/k8s-groundup/groundup/tools/lab/step"
	"github.com/spf13/cobra"
)

func verifyCommand() *cobra.Command {
	var asJSON, keepGoing bool
	var only string
	cmd := &cobra.Command{
		Use:               "verify [STEP|LAB]",
		ValidArgsFunction: completeSteps,
		Short:             "Prove, line by line, that the cluster does what the step says",
		Long: `verify runs the checks of the step's lab against the running cluster. Each line is
one property and what it proves. It stops at the first broken link, says what it
saw and what to try, and ends with a non-zero code.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := asRoot("looking into nodes"); err != nil {
				return err
			}
			s, dir, lab, err := chooseLab(args)
			if err != nil {
				return err
			}
			if err := needCluster(s, lab); err != nil {
				return err
			}
			checks, err := check.Load(filepath.Join(lab, "verify"))
			if err != nil {
				return err
			}
			if checks, err = chosen(checks, only); err != nil {
				return fmt.Errorf("%s has no %w", filepath.Base(lab), err)
			}
			runner, err := checkRunner(dir, open())
			if err != nil {
				return err
			}
			v := verification{runner: runner, keepGoing: keepGoing, w: cmd.OutOrStdout()}
			if asJSON {
				v.w = io.Discard
			}
			results := v.run(cmd.Context(), s, checks)
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				if err := e.Encode(results); err != nil {
					return err
				}
			}
			return v.verdict(cmd.Context(), s, checks, results)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the results as JSON")
	cmd.Flags().BoolVarP(&keepGoing, "keep-going", "k", false, "go on after a broken link")
	cmd.Flags().StringVar(&only, "check", "", "run only the check of this `id`")
	return cmd
}

// chooseLab is chooseStep for commands that work with a lab's folder: the step's, or
// that of an extra lab, which is done on the running step whatever it is.
func chooseLab(args []string) (s *step.Step, repo, lab string, err error) {
	extra := ""
	if len(args) == 1 && strings.HasPrefix(args[0], "extra-") {
		extra, args = args[0], nil
	}
	s, repo, err = chooseStep(args)
	if err != nil {
		return nil, "", "", err
	}
	lab = filepath.Join(repo, "labs", s.Name)
	if extra != "" {
		lab = filepath.Join(repo, "labs", extra)
		if _, err := os.Stat(lab); err != nil {
			return nil, "", "", fmt.Errorf("there is no lab %s", extra)
		}
	}
	return s, repo, lab, nil
}

// needCluster fails when there is no cluster to look at. An extra lab may be about what
// comes before one.
func needCluster(s *step.Step, lab string) error {
	if _, err := open().State(); errors.Is(err, cluster.ErrNone) && filepath.Base(lab) == s.Name {
		return err
	}
	return nil
}

// checkRunner prepares what scripts may count on.
func checkRunner(dir string, c *cluster.Cluster) (check.Runner, error) {
	exe, err := os.Executable()
	if err != nil {
		return check.Runner{}, err
	}
	env := []string{
		"LAB=" + exe,
		"LABS=" + filepath.Join(dir, "labs"),
		"GROUNDUP_HOME=" + c.Home,
		"GROUNDUP_REPO=" + dir,
		"PATH=" + filepath.Dir(exe) + ":" + os.Getenv("PATH"),
		"NODES=0", "NODE=node-1", "NODE_IP=", "STEP=",
	}
	if state, err := c.State(); err == nil {
		nodes, err := c.Nodes()
		if err != nil {
			return check.Runner{}, err
		}
		env = append(env, fmt.Sprintf("NODES=%d", state.Nodes), fmt.Sprintf("STEP=%02d", state.Step),
			"NODE="+nodes[0].Name, "NODE_IP="+nodes[0].IP, "HOST_IP="+state.Gateway())
	}
	return check.Runner{Library: filepath.Join(dir, "labs", "words.sh"), Env: env, Factor: cluster.Slowness()}, nil
}

// A verification prints each check as it is done.
type verification struct {
	runner    check.Runner
	keepGoing bool
	w         io.Writer
}

func (v verification) run(ctx context.Context, s *step.Step, checks []check.Check) []check.Result {
	fmt.Fprintf(v.w, "%s\n%s\n\n", bold.Render(fmt.Sprintf("Step %02d · %s", s.Number, s.Title)), s.Proves)
	r := newReporter(v.w)
	var results []check.Result
	announce := func() {
		if len(results) < len(checks) {
			r.announce(checks[len(results)].Title)
		}
	}
	announce()
	for res := range v.runner.All(ctx, checks) {
		r.clear()
		if !res.Passed && ctx.Err() != nil {
			printUnfinished(v.w, res)
			break
		}
		printResult(v.w, res)
		results = append(results, res)
		if !res.Passed && !v.keepGoing {
			break
		}
		announce()
	}
	r.clear() // what was announced and has not come
	return results
}

func printResult(w io.Writer, res check.Result) {
	mark := green.Render("✓")
	if !res.Passed {
		mark = red.Render("✗")
	}
	fmt.Fprintf(w, "  %s %-68s %s\n", mark, res.Title, faint.Render(short(res.Took.Round(time.Millisecond))))
	if res.Passed {
		fmt.Fprintf(w, "    %s\n", faint.Render(res.Proves))
		return
	}
	printDetails(w, res)
}

// printUnfinished is of a check that was broken off: it has failed no more than it
// has passed, but what it saw last may be why the learner would not wait.
func printUnfinished(w io.Writer, res check.Result) {
	fmt.Fprintf(w, "  %s %s\n", faint.Render("–"), res.Title)
	if res.Probes > 0 {
		printDetails(w, res)
	}
}

func printDetails(w io.Writer, res check.Result) {
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(w, "      %-6s %s\n", name, strings.ReplaceAll(text, "\n", "\n             "))
		}
	}
	line("check", res.ID)
	line("saw", res.Observed)
	line("hint", res.Hint)
	line("look", res.See)
}

// chosen is the one check that is asked for, or all if none is.
func chosen(checks []check.Check, id string) ([]check.Check, error) {
	at := slices.IndexFunc(checks, func(c check.Check) bool { return c.ID == id })
	switch {
	case id == "":
		return checks, nil
	case at < 0:
		return nil, fmt.Errorf("check %q: there are %s", id, strings.Join(ids(checks), ", "))
	}
	return checks[at : at+1], nil
}

// ids are how `--check` and tasks are called.
func ids(checks []check.Check) []string {
	var all []string
	for _, c := range checks {
		all = append(all, c.ID)
	}
	return all
}

func (v verification) verdict(ctx context.Context, s *step.Step, checks []check.Check, results []check.Result) error {
	passed := 0
	for _, r := range results {
		if r.Passed {
			passed++
		}
	}
	switch {
	case passed == len(checks):
		fmt.Fprintf(v.w, "\n%s\n", green.Render(fmt.Sprintf("%d of %d hold.", passed, len(results))))
		return nil
	case ctx.Err() != nil && passed == len(results):
		return fmt.Errorf("interrupted: %d of %d hold, as far as was asked (%w)", passed, len(checks), context.Cause(ctx))
	}
	fmt.Fprintf(v.w, "\n%s\n", red.Render(fmt.Sprintf("%d of %d hold; the first broken link is above.", passed, len(checks))))
	if state, err := open().State(); err == nil && state.Step != s.Number {
		fmt.Fprintf(v.w, "The cluster runs step %02d, and this is what step %02d promises: `lab up %02d` changes it.\n", state.Step, s.Number, s.Number)
	}
	return ExitCode(1)
}
