package guide

import (
	"fmt"
	"regexp"
	"strings"
)

// A Shell runs a command of a guide and returns what it printed, both streams
// together.
type Shell func(command string) (output string, err error)

// Record runs every ```sh block in order and puts what it printed into the
// ```output block that follows it, where one does. A block whose fence says
// `sh fails` must fail, any other must not. It returns how many ran.
func (g *Guide) Record(shell Shell) (ran int, err error) {
	for i, p := range g.parts {
		if p.language() != "sh" || strings.Contains(p.fence, " skip=") {
			continue
		}
		out, err := shell(p.body)
		ran++
		switch fails := strings.Contains(p.fence, " fails"); {
		case err != nil && !fails:
			return ran, fmt.Errorf("line %d: %s%w\n%s", p.line, p.body, err, out)
		case err == nil && fails:
			return ran, fmt.Errorf("line %d: %sdid not fail:\n%s", p.line, p.body, out)
		}
		if next := g.outputAfter(i); next != nil && !Alike(next.body, out) {
			next.body = out
			if !strings.HasSuffix(out, "\n") {
				next.body += "\n"
			}
		}
	}
	return ran, nil
}

// outputAfter is the output block that belongs to the command block i: the next
// fenced block, with nothing but blank lines in between.
func (g *Guide) outputAfter(i int) *part {
	for k := i + 1; k < len(g.parts); k++ {
		p := &g.parts[k]
		if p.fence == "" && strings.TrimSpace(p.body) == "" {
			continue
		}
		if p.language() == "output" {
			return p
		}
		return nil
	}
	return nil
}

// What differs between two runs of the same commands on two machines.
var differs = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\x1b\[[0-9;]*m`), ""},
	{regexp.MustCompile(`\bveth[0-9a-f]+\b`), "vethX"},
	{regexp.MustCompile(`\b[0-9a-f]{8,}(-[0-9a-f]{4,})*\b`), "X"}, // ids and digests
	{regexp.MustCompile(`[0-9]+([.:][0-9]+)*`), "0"},              // numbers, addresses, times
	{regexp.MustCompile(`(0 ?(ns|µs|ms|s|m|h|seconds?|minutes?)\b ?)+`), "0s "},
	{regexp.MustCompile(`[ \t─═]+`), " "},
}

// Alike says whether two outputs say the same: numbers, addresses, ids and
// white space may differ, words may not.
func Alike(a, b string) bool { return normal(a) == normal(b) }

func normal(s string) string {
	for _, d := range differs {
		s = d.pattern.ReplaceAllString(s, d.with)
	}
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSpace(l)
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// FirstDifference shows where two texts part.
func FirstDifference(old, new string) string {
	a, b := strings.Split(old, "\n"), strings.Split(new, "\n")
	for i := range max(len(a), len(b)) {
		x, y := at(a, i), at(b, i)
		if x != y {
			return fmt.Sprintf("line %d\n  was: %s\n  now: %s", i+1, x, y)
		}
	}
	return "nowhere"
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(nothing)"
}
