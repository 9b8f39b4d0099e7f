package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/k8s-groundup/groundup/vms/machine"
	"github.com/k8s-groundup/groundup/vms/repo"
)

// evidence collects what a machine says, and keeps it in a folder when something
// has failed there.
type evidence struct {
	dir     string // made by keep
	console lockedBuffer
	output  lockedBuffer
}

// keptFailures is how many folders are kept: the newest ones.
const keptFailures = 10

func newEvidence(r repo.Repo, name string) *evidence {
	stamp := time.Now().Format("20060102-150405.000")
	return &evidence{dir: filepath.Join(r.Cache(), "failures", stamp+"-"+strings.ReplaceAll(name, "/", "_"))}
}

// inside are the logs that are asked of the machine itself.
var inside = []struct{ file, script string }{
	{"kernel.log", "dmesg"},
	{"journal.log", "test ! -d /run/systemd/system || journalctl --no-pager -o short-precise -b"},
	{"processes.log", "ps -eo pid,ppid,stat,cgroup:60,args; echo; cat /proc/self/mountinfo"},
	{"components.log", "for f in /var/lib/groundup/nodes/*/root/var/log/*.log /var/lib/groundup/nodes/*/*.log /var/log/groundup/*.log; do [ -f \"$f\" ] && echo \"== $f\" && tail -n 500 \"$f\"; done; :"},
}

// keep writes all there is into a folder and returns its name. The machine may
// be nil, or have ended.
func (e *evidence) keep(m *machine.Machine) (string, error) {
	if err := os.MkdirAll(e.dir, 0o755); err != nil {
		return "", err
	}
	if m != nil {
		// Whoever interrupted us waits for this.
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		for _, log := range inside {
			var out bytes.Buffer
			_, err := m.Run(ctx, machine.Command{Args: []string{"sh", "-c", log.script}, Stdout: &out, Stderr: &out})
			if err != nil {
				fmt.Fprintf(&out, "(%v)\n", err)
			}
			if err := write(e.dir, log.file, out.Bytes()); err != nil {
				return "", err
			}
		}
	}
	if err := write(e.dir, "console.log", e.console.bytes()); err != nil {
		return "", err
	}
	if err := write(e.dir, "output.log", e.output.bytes()); err != nil {
		return "", err
	}
	return e.dir, prune(filepath.Dir(e.dir))
}

func write(dir, file string, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	return os.WriteFile(filepath.Join(dir, file), data, 0o644)
}

func prune(dir string) error {
	entries, err := os.ReadDir(dir) // by name, which is by age
	if err != nil {
		return err
	}
	for _, e := range entries[:max(len(entries)-keptFailures, 0)] {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// also returns a writer that writes to w and remembers.
func (e *evidence) also(w io.Writer) io.Writer { return io.MultiWriter(w, &e.output) }

// A lockedBuffer is written to by one goroutine while another reads it.
type lockedBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.buf.Bytes())
}
