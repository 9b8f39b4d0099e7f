package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// A Runner runs checks against one cluster.
type Runner struct {
	// Library is the shell file with the words that all checks share.
	Library string
	// Env is added to the environment of every script.
	Env []string
	// Factor is how many times slower than a laptop this machine is, as an emulated
	// one is; the times of checks are multiplied by it. Zero means 1.
	Factor float64
}

// limit is the check's time on this machine.
func (r Runner) limit(c Check) time.Duration {
	return time.Duration(float64(c.Time) * max(r.Factor, 1))
}

// A Result is what became of a check.
type Result struct {
	ID       string        `json:"id"`
	Title    string        `json:"title"`
	Proves   string        `json:"proves"`
	Passed   bool          `json:"passed"`
	Cause    string        `json:"cause,omitempty"`    // as the probe named it
	Observed string        `json:"observed,omitempty"` // what the last probe said
	Hint     string        `json:"hint,omitempty"`
	See      string        `json:"see,omitempty"`
	Took     time.Duration `json:"tookNanoseconds"`
	Probes   int           `json:"probes"` // how often it was asked
}

// The pause between two probes is short at first, and doubles.
const (
	shortest = 20 * time.Millisecond
	longest  = 200 * time.Millisecond
)

// causeMark begins the line by which `fail` tells the cause.
const causeMark = "::cause "

// All runs checks and yields their results in the order of the checks. Those in a
// row that are parallel run side by side, as many as there are processors. A caller
// that breaks off cuts short what runs; the loop ends when that has been cleaned up.
// When ctx is done, no more checks begin.
func (r Runner) All(ctx context.Context, checks []Check) iter.Seq[Result] {
	return func(yield func(Result) bool) {
		for row := range rows(checks) {
			if !r.abreast(ctx, row, yield) {
				return
			}
		}
	}
}

// rows divides checks into those that may run at the same time.
func rows(checks []Check) iter.Seq[[]Check] {
	return func(yield func([]Check) bool) {
		for len(checks) > 0 {
			n := 1
			for checks[0].Parallel && n < len(checks) && checks[n].Parallel {
				n++
			}
			if !yield(checks[:n]) {
				return
			}
			checks = checks[n:]
		}
	}
}

// abreast runs checks side by side. It returns false when no more should follow.
func (r Runner) abreast(ctx context.Context, checks []Check, yield func(Result) bool) bool {
	var all errgroup.Group
	defer all.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make([]chan Result, len(checks))
	for i := range checks {
		results[i] = make(chan Result, 1)
	}
	all.Go(func() error {
		var running errgroup.Group
		running.SetLimit(runtime.NumCPU())
		for i, c := range checks {
			running.Go(func() error {
				defer close(results[i])
				if ctx.Err() == nil {
					results[i] <- r.Run(ctx, c)
				}
				return nil
			})
		}
		return running.Wait()
	})
	for i := range checks {
		if res, ran := <-results[i]; !ran || !yield(res) {
			return false
		}
	}
	return true
}

// Run runs one check to its end. The cleanup runs even when ctx is done.
func (r Runner) Run(ctx context.Context, c Check) (res Result) {
	start := time.Now()
	res = Result{ID: c.ID, Title: c.Title, Proves: c.Proves, See: c.See}
	defer func() { res.Took = time.Since(start) }()
	dir, err := os.MkdirTemp("", "groundup-check-")
	if err != nil {
		res.Observed = err.Error()
		return res
	}
	defer os.RemoveAll(dir)
	limited, cancel := context.WithTimeout(ctx, r.limit(c))
	defer cancel()
	defer func() {
		cleanup, stop := context.WithTimeout(context.WithoutCancel(ctx), r.limit(c)+10*time.Second)
		defer stop()
		if out, err := r.call(cleanup, c, dir, "cleanup"); err != nil && res.Passed {
			res.Passed, res.Observed = false, "cleanup: "+say(out, err)
		}
	}()
	if out, err := r.call(limited, c, dir, "setup"); err != nil {
		res.blame(c, "setup: ", out, err)
		return res
	}
	for pause := shortest; ; pause = min(2*pause, longest) {
		out, err := r.call(limited, c, dir, "probe")
		// A probe that the limit cut short says less than the one before it.
		if limited.Err() == nil || res.Probes == 0 {
			res.Probes++
			if err == nil {
				res.Passed, res.Cause, res.Observed, res.Hint = true, "", "", ""
				return res
			}
			res.blame(c, "", out, err)
		}
		select {
		case <-limited.Done():
			return res
		case <-time.After(pause):
		}
	}
}

// Probe asks once whether the property holds, without set-up or clean-up: it is
// how tasks tick themselves off.
func (r Runner) Probe(ctx context.Context, c Check) Result {
	res := Result{ID: c.ID, Title: c.Title, Proves: c.Proves, See: c.See, Probes: 1}
	limited, cancel := context.WithTimeout(ctx, r.limit(c))
	defer cancel()
	out, err := r.call(limited, c, os.TempDir(), "probe")
	res.Passed = err == nil
	if err != nil {
		res.blame(c, "", out, err)
	}
	return res
}

// Solve does what a task asks for.
func (r Runner) Solve(ctx context.Context, c Check) (string, error) {
	if !c.CanSolve() {
		return "", fmt.Errorf("%s has no solution", c.ID)
	}
	out, err := r.call(ctx, c, os.TempDir(), "solve")
	return string(out), err
}

func (res *Result) blame(c Check, prefix string, out []byte, err error) {
	res.Cause = ""
	var rest []string
	for line := range strings.Lines(string(out)) {
		if cause, ok := strings.CutPrefix(line, causeMark); ok {
			res.Cause = strings.TrimSpace(cause)
			continue
		}
		rest = append(rest, line)
	}
	res.Observed = prefix + say([]byte(strings.Join(rest, "")), err)
	res.Hint = c.Hint(res.Cause)
}

// say is what a function printed, or else its error. That it was cut short is never left
// out: what it had printed by then may look as if all were well.
func say(out []byte, err error) string {
	text := strings.TrimSpace(string(out))
	switch late := tooLate(0); {
	case text == "":
		return err.Error()
	case errors.As(err, &late):
		return text + "\n" + late.Error()
	}
	return text
}

// tooLate is the error of a function that was cut short after this long.
type tooLate time.Duration

func (d tooLate) Error() string { return fmt.Sprintf("no answer within %s", time.Duration(d)) }

// call runs one function of the script, if it has it, in a process group that
// ends with it.
func (r Runner) call(ctx context.Context, c Check, dir, function string) ([]byte, error) {
	if !slices.Contains(c.functions, function) {
		return nil, nil
	}
	const program = `set -u; . "$1"; . "$2"; "$3"`
	cmd := exec.CommandContext(ctx, "sh", "-c", program, "sh", r.Library, c.File, function)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), r.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = tooLate(r.limit(c))
	}
	return out.Bytes(), err
}
