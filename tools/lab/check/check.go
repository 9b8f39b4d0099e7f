// Package check runs the checks of a lab: scripts that look at a cluster and say
// whether one property holds, and if not, what broke first.
//
// A check is a shell script with a header of comments:
//
//	# title: The pod has an address of its own
//	# proves: a pod's network is a namespace and one end of a veth pair
//	# time: 10s
//	# parallel: yes
//	# hint no-address: the bridge gave none; see `lab logs kubelet`
//	# see: lab shell node-1 -- ip addr
//
//	probe() { … }     # required; exit 0 when the property holds
//	setup() { … }     # once, before the first probe
//	cleanup() { … }   # once, whatever happened
//	solve() { … }     # tasks only: what the learner was to do
//
// The probe is run again and again until it passes or the time is up; a probe
// that fails for good reasons calls `fail CAUSE text…`, and the hint of that
// cause is what the learner reads. So a check polls, and never sleeps. Its time
// is for hangs and slow machines and says nothing about speed.
//
// A check that only looks, or changes nothing that its neighbours look at, says that
// it is parallel: it runs beside those of them that say so, too.
package check

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A Check is one script.
type Check struct {
	ID       string // the file's name without number and ending: "pod-has-address"
	File     string
	Title    string
	Proves   string
	Time     time.Duration     // after which the property counts as broken
	Parallel bool              // runs beside its neighbours that are parallel, too
	Hints    map[string]string // by observed cause; "" is for any other
	See      string            // a command to look closer with
	Task     string            // tasks only: what the learner is asked to do

	functions []string // that the script defines
}

// CanSolve says whether the script knows how to do what the task asks.
func (c Check) CanSolve() bool { return slices.Contains(c.functions, "solve") }

const defaultTime = 10 * time.Second

// Load reads the checks of a folder in the order of their names. A folder that
// is missing or empty is an error: a verification without checks proves nothing.
func Load(dir string) ([]Check, error) {
	files, err := filepath.Glob(filepath.Join(dir, "[0-9]*.sh"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no checks in %s", dir)
	}
	slices.Sort(files)
	var all []Check
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		c, err := Parse(file, string(b))
		if err != nil {
			return nil, err
		}
		if k := slices.IndexFunc(all, func(o Check) bool { return o.ID == c.ID }); k >= 0 {
			return nil, fmt.Errorf("%s has the id of %s", file, all[k].File)
		}
		all = append(all, c)
	}
	return all, nil
}

var (
	number   = regexp.MustCompile(`^[0-9]+-`)
	function = regexp.MustCompile(`(?m)^(\w+)\(\)`)
)

// Parse reads a check's header and verifies what can be known before it runs.
func Parse(file, script string) (Check, error) {
	c := Check{
		File: file, Time: defaultTime, Hints: map[string]string{},
		ID: strings.TrimSuffix(number.ReplaceAllString(filepath.Base(file), ""), ".sh"),
	}
	lines := bufio.NewScanner(strings.NewReader(script))
	for n := 1; lines.Scan(); n++ {
		line, ok := strings.CutPrefix(lines.Text(), "# ")
		if !ok {
			break
		}
		if err := c.header(line); err != nil {
			return c, fmt.Errorf("%s:%d: %w", file, n, err)
		}
	}
	for _, m := range function.FindAllStringSubmatch(script, -1) {
		c.functions = append(c.functions, m[1])
	}
	switch {
	case c.Title == "":
		return c, fmt.Errorf("%s: no `# title:`", file)
	case c.Proves == "":
		return c, fmt.Errorf("%s: no `# proves:`", file)
	case !slices.Contains(c.functions, "probe"):
		return c, fmt.Errorf("%s: no probe function", file)
	case c.Task != "" && !c.CanSolve():
		return c, fmt.Errorf("%s: a task without a solve function", file)
	}
	for _, m := range regexp.MustCompile(`\bfail ([a-z][a-z-]*)`).FindAllStringSubmatch(script, -1) {
		if c.Hints[m[1]] == "" {
			return c, fmt.Errorf("%s: fails with cause %q and has no `# hint %s:`", file, m[1], m[1])
		}
	}
	return c, nil
}

func (c *Check) header(line string) error {
	key, value, ok := strings.Cut(line, ":")
	value = strings.TrimSpace(value)
	if !ok || value == "" {
		return fmt.Errorf("not a `key: value` line: %q", line)
	}
	var err error
	switch name, cause, _ := strings.Cut(key, " "); name {
	case "title":
		c.Title = value
	case "proves":
		c.Proves = value
	case "see":
		c.See = value
	case "task":
		c.Task = value
	case "time":
		c.Time, err = time.ParseDuration(value)
	case "parallel":
		if c.Parallel = value == "yes"; !c.Parallel {
			err = fmt.Errorf("parallel is yes, or not there: %q", value)
		}
	case "hint":
		c.Hints[cause] = value
	default:
		err = fmt.Errorf("unknown key %q", key)
	}
	return err
}

// Hint is what to try, given the observed cause.
func (c Check) Hint(cause string) string {
	if h := c.Hints[cause]; h != "" {
		return h
	}
	return c.Hints[""]
}

// Function returns the text of a shell function's body, for learners to read.
// Functions of checks begin at the margin and end with a brace there.
func Function(file, name string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	m := regexp.MustCompile(`(?ms)^` + regexp.QuoteMeta(name) + `\(\) \{\n(.*?)^\}`).FindSubmatch(b)
	if m == nil {
		return "", fmt.Errorf("%s has no function %s", file, name)
	}
	return string(m[1]), nil
}
