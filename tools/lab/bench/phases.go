package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A start is seen through events of the kernel. Both runtimes are libcontainer's,
// and alike in these. That the program is executed is not among them: both tell
// that the container runs a moment before.
const (
	asked    = iota // we ask for the container
	executed        // its first process executes the runtime's binary again
	attached        // it is in all of its cgroups
	renamed         // C has made and joined its namespaces, and Go may begin
	mounting        // Go has begun and knows what to do
	pivoted         // all is mounted
	answered        // we are told
	milestones
)

// phaseNames are what lies between two milestones.
var phaseNames = [milestones - 1]string{
	executed - 1: "spec, records, root file system, fork",
	attached - 1: "cgroups, with a grace period of RCU",
	renamed - 1:  "namespaces, in C",
	mounting - 1: "Go begins and reads its configuration",
	pivoted - 1:  "mounts and devices",
	answered - 1: "privileges, records, answer",
}

// An event is a line of the kernel's trace.
type event struct {
	pid  int     // whose it is
	at   float64 // seconds
	name string
	args string
}

var (
	traceLine = regexp.MustCompile(`^\s*.*-(\d+)\s+\[\d+\]\s+\S+\s+(\d+\.\d+): (\w+)(?:: |\()(.*)$`)
	tracePID  = regexp.MustCompile(`\bpid=(\d+)`)
)

func parseTrace(trace string) (events []event) {
	for line := range strings.Lines(trace) {
		m := traceLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			continue // a comment
		}
		e := event{name: m[3], args: m[4]}
		e.pid, _ = strconv.Atoi(m[1]) // digits, by the pattern
		e.at, _ = strconv.ParseFloat(m[2], 64)
		if who := tracePID.FindStringSubmatch(e.args); who != nil {
			e.pid, _ = strconv.Atoi(who[1])
		}
		events = append(events, e)
	}
	return events
}

// phases returns the milliseconds between the milestones of one start, whose
// events begin and end with marks of ours.
func phases(events []event) ([]float64, error) {
	var at [milestones]float64
	first, last := 0, 0 // the processes that begin, and become, the container
	for _, e := range events {
		switch {
		case e.name == "tracing_mark_write" && strings.HasPrefix(e.args, "asked"):
			at[asked] = e.at
		case e.name == "tracing_mark_write" && strings.HasPrefix(e.args, "answered"):
			at[answered] = e.at
		case e.name == "sched_process_exec" && at[attached] == 0:
			first, at[executed] = e.pid, e.at
		case e.name == "cgroup_attach_task" && e.pid == first:
			at[attached] = e.at
		case e.name == "task_rename" && strings.Contains(e.args, "newcomm=runc:[2:INIT]"):
			last, at[renamed] = e.pid, e.at
		case e.name == "sys_mount" && e.pid == last && at[mounting] == 0:
			at[mounting] = e.at
		case e.name == "sys_pivot_root" && e.pid == last:
			at[pivoted] = e.at
		}
	}
	var took []float64
	for i := 1; i < milestones; i++ {
		if at[i] < at[i-1] || at[i-1] == 0 {
			return nil, fmt.Errorf("the trace of a start lacks milestone %d: %v", i, at)
		}
		took = append(took, (at[i]-at[i-1])*1000)
	}
	return took, nil
}

// Phases tells where the time of a start goes, of ours and of runc's by turns.
// On a kernel without tracefs there is nothing to tell.
func (c *contest) Phases(ctx context.Context, runs int) (rows []Row, err error) {
	const perRun = 8
	t, err := newTracer()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	took := make([][2][]float64, len(phaseNames))
	for run := range runs {
		for side, s := range []starter{c.ours, c.makes} {
			for i := range perRun {
				one, err := c.traced(ctx, t, s, fmt.Sprintf("p%d-%d-%d", side, run, i))
				if err != nil {
					return nil, err
				}
				for phase, ms := range one {
					took[phase][side] = append(took[phase][side], ms)
				}
			}
		}
	}
	for phase, sides := range took {
		rows = append(rows, Summarize("  "+phaseNames[phase], "ms", sides[0]).Against("runc run", sides[1], 0))
	}
	return slices.Clip(rows), nil
}

func (c *contest) traced(ctx context.Context, t *tracer, s starter, id string) ([]float64, error) {
	trace, err := t.trace(func() error { return s.Start(ctx, 0, id) })
	err = errors.Join(err, s.Remove(context.WithoutCancel(ctx), 0, id))
	if err != nil {
		return nil, err
	}
	return phases(parseTrace(trace))
}
