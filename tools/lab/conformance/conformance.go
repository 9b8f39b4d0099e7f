// Package conformance lets upstream's end-to-end suite judge a cluster.
//
// The suite is one test binary with thousands of specs. Each spec that is named
// in a list runs in a process of its own, several at once; those that upstream
// marks Serial run alone, after the others.
package conformance

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Suite is upstream's test binary and the cluster that it is to judge.
type Suite struct {
	Binary     string // e2e.test
	Kubeconfig string
	Kubectl    string
	Logs       string        // folder that keeps what a spec said, one file each
	Parallel   int           // how many specs at once
	Limit      time.Duration // after which a spec that hangs is killed
}

// A Result is what became of a spec.
type Result struct {
	Spec   string
	Passed bool
	Reason string // the first lines of the failure
	Log    string
	Took   time.Duration
}

// Read reads a list of specs: one a line, with comments and empty lines.
func Read(file string) ([]string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var specs []string
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" && !strings.HasPrefix(line, "#") {
			specs = append(specs, line)
		}
	}
	return specs, lines.Err()
}

// Run runs the specs and calls report after each. It returns when all have ended
// or ctx is done.
func (s Suite) Run(ctx context.Context, specs []string, report func(Result)) error {
	if err := os.MkdirAll(s.Logs, 0o755); err != nil {
		return err
	}
	var serial, parallel []string
	for _, spec := range specs {
		if strings.Contains(spec, "[Serial]") {
			serial = append(serial, spec)
		} else {
			parallel = append(parallel, spec)
		}
	}
	s.all(ctx, parallel, s.Parallel, report)
	s.all(ctx, serial, 1, report)
	return ctx.Err()
}

func (s Suite) all(ctx context.Context, specs []string, width int, report func(Result)) {
	queue := make(chan string)
	var workers sync.WaitGroup
	var one sync.Mutex
	for range width {
		workers.Go(func() {
			for spec := range queue {
				r := s.one(ctx, spec)
				one.Lock()
				report(r)
				one.Unlock()
			}
		})
	}
	for _, spec := range specs {
		select {
		case queue <- spec:
		case <-ctx.Done():
		}
	}
	close(queue)
	workers.Wait()
}

// one runs a spec. That the suite ends well is not enough: it also does when the
// name fits nothing.
func (s Suite) one(ctx context.Context, spec string) Result {
	r := Result{Spec: spec, Log: filepath.Join(s.Logs, fileName(spec))}
	ctx, cancel := context.WithTimeout(ctx, s.Limit)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, s.Binary,
		"--ginkgo.focus="+regexp.QuoteMeta(spec), "--ginkgo.no-color",
		"--provider=skeleton", "--kubeconfig="+s.Kubeconfig, "--kubectl-path="+s.Kubectl, "--num-nodes=0", "--allowed-not-ready-nodes=-1",
		"--disable-log-dump", "--dump-logs-on-failure=false")
	cmd.Stdout, cmd.Stderr = &out, &out
	temp, err := os.MkdirTemp("", "conformance-") // the suite leaves files behind, one for each kubectl
	if err != nil {
		r.Reason = err.Error()
		return r
	}
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	start := time.Now()
	err = errors.Join(cmd.Run(), os.RemoveAll(temp))
	r.Took = time.Since(start)
	switch {
	case err != nil:
		r.Reason = reason(out.String(), err)
	case !passed.MatchString(out.String()):
		r.Reason = "no spec of the suite has this name"
	default:
		r.Passed = true
	}
	if err := os.WriteFile(r.Log, out.Bytes(), 0o644); err != nil {
		r.Passed, r.Reason = false, err.Error()
	}
	return r
}

var (
	passed  = regexp.MustCompile(`[1-9]\d* Passed \| 0 Failed`)
	failure = regexp.MustCompile(`(?m)^\s*\[(FAILED|FAIL|PANICKED)\][^\n]*`)
	unsafe  = regexp.MustCompile(`[^a-zA-Z0-9]+`)
)

func reason(out string, err error) string {
	at := failure.FindStringIndex(out)
	if at == nil {
		return err.Error()
	}
	lines := strings.SplitN(out[at[0]:], "\n", 6)
	return strings.Join(slices.DeleteFunc(lines[:min(len(lines), 4)], func(l string) bool { return strings.TrimSpace(l) == "" }), " ")
}

func fileName(spec string) string {
	name := strings.Trim(unsafe.ReplaceAllString(spec, "-"), "-")
	return name[:min(len(name), 200)] + ".log"
}

// Print writes a result as a line, and why it failed as a second.
func Print(w io.Writer, r Result) {
	mark := "✓"
	if !r.Passed {
		mark = "✗"
	}
	fmt.Fprintf(w, "%s %-7s %s\n", mark, r.Took.Round(100*time.Millisecond), r.Spec)
	if !r.Passed {
		fmt.Fprintf(w, "    %s\n    see %s\n", r.Reason, r.Log)
	}
}
