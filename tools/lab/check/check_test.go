package check

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const header = "# title: T\n# proves: P\n# time: 1s\n# hint: any\n# hint missing: look there\n\n"

func write(t *testing.T, script string) Check {
	t.Helper()
	file := filepath.Join(t.TempDir(), "010-some-check.sh")
	if err := os.WriteFile(file, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := Parse(file, script)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func runner(t *testing.T) Runner {
	words := filepath.Join(t.TempDir(), "words.sh")
	if err := os.WriteFile(words, []byte("fail() { echo \"::cause $1\"; shift; echo \"$*\"; exit 1; }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return Runner{Library: words, Env: []string{"WORD=given"}}
}

func TestRun(t *testing.T) {
	for _, c := range []struct {
		name, script string
		want         Result
	}{
		{"a probe that passes", "probe() {\ntest $WORD = given\n}\n", Result{Passed: true}},
		{"polled until it passes", "probe() {\necho x >> n; test $(wc -l < n) -ge 3\n}\n", Result{Passed: true}},
		{"the cause chooses the hint", "probe() {\nfail missing no such thing\n}\n", Result{Cause: "missing", Observed: "no such thing", Hint: "look there"}},
		{"without a cause the general hint", "probe() {\necho why; false\n}\n", Result{Observed: "why", Hint: "any"}},
		{"a set-up that fails", "setup() {\necho why; false\n}\nprobe() {\n:\n}\n", Result{Observed: "setup: why", Hint: "any"}},
		{"a clean-up that fails fails the check", "probe() {\n:\n}\ncleanup() {\necho why; false\n}\n", Result{Observed: "cleanup: why"}},
		{"an unset variable is an error", "probe() {\necho $NO_SUCH_WORD\n}\n", Result{}},
		{"a set-up that hangs says so, whatever it printed", "setup() {\necho done; sleep 100\n}\nprobe() {\n:\n}\n", Result{Observed: "setup: done\nno answer within 1s", Hint: "any"}},
		{"a probe that hangs", "probe() {\nsleep 100\n}\n", Result{Observed: "no answer within 1s", Hint: "any"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := runner(t).Run(context.Background(), write(t, header+c.script))
			if got.Passed != c.want.Passed || got.Cause != c.want.Cause || c.want.Observed != "" && got.Observed != c.want.Observed || c.want.Hint != "" && got.Hint != c.want.Hint {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestSlowMachinesGetTime(t *testing.T) {
	slow := runner(t)
	slow.Factor = 20
	c := write(t, header+"probe() {\n! test -e asked && touch asked && sleep 2\n}\n")
	if got := slow.Run(context.Background(), c); !got.Passed {
		t.Errorf("got %+v, want a second stretched to twenty", got)
	}
}

// openSUSE exports CPU=x86_64: that is not what a pod asks for.
func TestWordsTakeNoQuantityFromTheEnvironment(t *testing.T) {
	t.Setenv("CPU", "x86_64")
	library, err := filepath.Abs("../../../labs/words.sh")
	if err != nil {
		t.Fatal(err)
	}
	words := Runner{Library: library, Env: []string{"LAB=true", "GROUNDUP_HOME=/none", "NODE=node-1"}}
	c := write(t, header+`probe() {
paper_pod unsaid && grep 'cpu: "100m"' unsaid.yaml && CPU=300m paper_pod said && grep 'cpu: "300m"' said.yaml || { cat ./*.yaml; return 1; }
}
`)
	if got := words.Run(t.Context(), c); !got.Passed {
		t.Errorf("got %+v, want pods with the CPU that was said", got)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ name, script, want string }{
		{"no title", "# proves: P\nprobe() {\n:\n}\n", "no `# title:`"},
		{"nothing proved", "# title: T\nprobe() {\n:\n}\n", "no `# proves:`"},
		{"no probe", "# title: T\n# proves: P\n", "no probe"},
		{"unknown key", "# title: T\n# tilte: P\n", ":2: unknown key"},
		{"a cause without a hint", "# title: T\n# proves: P\nprobe() {\nfail nowhere x\n}\n", "# hint nowhere:"},
		{"a task nobody can solve", "# title: T\n# proves: P\n# task: do it\nprobe() {\n:\n}\n", "without a solve"},
		{"a bad time", "# title: T\n# time: soon\n", "invalid duration"},
	} {
		if _, err := Parse("x/010-x.sh", c.script); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestLoadRefusesAnEmptyFolder(t *testing.T) {
	if _, err := Load(t.TempDir()); err == nil {
		t.Error("a verification without checks was loaded: it would prove nothing")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(header + "probe() {\n:\n}\n")
	f.Fuzz(func(t *testing.T, script string) {
		if c, err := Parse("x/010-x.sh", script); err == nil && (c.Title == "" || c.Proves == "") {
			t.Errorf("accepted without title or meaning: %q", script)
		}
	})
}

// meeting is a check that passes when n of its kind run at the same time.
func meeting(t *testing.T, dir, name string, n int, parallel bool) Check {
	script := "# title: " + name + "\n# proves: P\n# time: 10s\n"
	if parallel {
		script += "# parallel: yes\n"
	}
	script += "# hint: any\nsetup() {\n: >" + filepath.Join(dir, name) + "\n}\n" +
		"probe() {\n[ $(ls " + dir + " | wc -l) -ge " + strconv.Itoa(n) + " ]\n}\n" +
		"cleanup() {\n: >" + filepath.Join(dir, "cleaned-"+name) + "\n}\n"
	return write(t, script)
}

func TestParallelChecksRunSideBySide(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("one processor runs one check at a time")
	}
	dir := t.TempDir()
	checks := []Check{meeting(t, dir, "a", 2, true), meeting(t, dir, "b", 2, true), meeting(t, dir, "c", 5, false)}
	var got []string
	for res := range runner(t).All(t.Context(), checks) {
		got = append(got, fmt.Sprint(res.Title, res.Passed))
	}
	// The third sees what the first two left behind when they were cleaned up after.
	if want := []string{"atrue", "btrue", "ctrue"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestBreakingOffCleansUp(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("one processor runs one check at a time")
	}
	dir := t.TempDir()
	never := meeting(t, dir, "b", 1000, true)
	never.Time = time.Hour
	began := time.Now()
	for range (runner(t)).All(t.Context(), []Check{meeting(t, dir, "a", 2, true), never, meeting(t, dir, "c", 1, false)}) {
		break
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("took %s", took)
	}
	if _, err := os.Stat(filepath.Join(dir, "cleaned-b")); err != nil {
		t.Errorf("the check that was cut short was not cleaned up after: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "c")); err == nil {
		t.Error("a check began after the end")
	}
}

func TestRows(t *testing.T) {
	for _, tt := range []struct{ checks, want string }{ // P is parallel, S is not
		{"", ""}, {"S", "S"}, {"SS", "S S"}, {"PP", "PP"}, {"SPPS", "S PP S"}, {"PSPP", "P S PP"},
	} {
		var checks []Check
		for _, c := range tt.checks {
			checks = append(checks, Check{ID: string(c), Parallel: c == 'P'})
		}
		var got []string
		for row := range rows(checks) {
			s := ""
			for _, c := range row {
				s += c.ID
			}
			got = append(got, s)
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s: got %q, want %q", tt.checks, s, tt.want)
		}
	}
}

// What a check says to look with must work as it stands: a kubectl of the learner's
// own asks another cluster, or none.
func TestLookIsACommandOfThisRepository(t *testing.T) {
	dirs, err := filepath.Glob("../../../labs/*/[vt]*")
	if err != nil || len(dirs) == 0 {
		t.Fatal(dirs, err)
	}
	for _, dir := range dirs {
		checks, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range checks {
			for part := range strings.SplitSeq(c.See, "; ") {
				ours := slices.ContainsFunc([]string{"lab ", "bin/lab ", "bin/vm/vm "}, func(p string) bool { return strings.HasPrefix(part, p) })
				if !ours && !strings.HasPrefix(c.See, "lab shell ") && c.See != "" {
					t.Errorf("%s: see: %s", c.File, c.See)
				}
			}
		}
	}
}
