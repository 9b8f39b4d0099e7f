package place

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// questions are what a machine is asked after a failure; each answer is a file.
var questions = []struct{ file, script string }{
	{"kernel.log", "dmesg"},
	{"journal.log", "journalctl --no-pager -o short-precise -b"},
	{"processes.log", "ps -eo pid,ppid,stat,cgroup:60,args; echo; cat /proc/self/mountinfo"},
	{"components.log", `for f in /var/log/kubelet.log /var/log/runtime.log /var/log/pods/*/*/*.log; do [ -f "$f" ] && echo "== $f" && tail -n 500 "$f"; done; :`},
}

// keptFailures is how many folders are kept: the newest ones.
const keptFailures = 10

// Keep writes what machine n can tell about a failure into a new folder below
// bin/vm/failures, and names it; the oldest ones go. A question without an answer is a line in its
// file; serial consoles are added where the place has them.
func Keep(p Place, repo string, n int) (dir string, err error) {
	stamp := time.Now().Format("20060102-150405.000")
	dir = filepath.Join(repo, "bin", "vm", "failures", fmt.Sprintf("%s-node-%d", stamp, n))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := prune(filepath.Dir(dir)); err != nil {
		return "", err
	}
	for _, q := range questions {
		var out bytes.Buffer
		cmd := p.Command(n, false, "sh", "-c", q.script)
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			fmt.Fprintf(&out, "(%v)\n", err)
		}
		if err := os.WriteFile(filepath.Join(dir, q.file), out.Bytes(), 0o644); err != nil {
			return "", err
		}
	}
	if q, ok := p.(qemu); ok {
		console, err := os.ReadFile(filepath.Join(q.state, fmt.Sprintf("node-%d", n), "console.log"))
		if err != nil {
			return dir, nil // it has not come so far
		}
		return dir, os.WriteFile(filepath.Join(dir, "console.log"), console, 0o644)
	}
	return dir, nil
}

// prune removes all but the newest folders: their names begin with the time.
func prune(failures string) error {
	entries, err := os.ReadDir(failures)
	if err != nil {
		return err
	}
	for _, e := range entries[:max(len(entries)-keptFailures, 0)] {
		if err := os.RemoveAll(filepath.Join(failures, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
