package podshim

import (
	"context"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// children knows which child processes somebody waits for. The others were
// orphaned somewhere in the pod and came to us because we are a subreaper.
type children struct {
	starting sync.RWMutex // held for reading while there may be a child that is not awaited yet
	mu       sync.Mutex   // guards the fields below
	awaited  map[int]bool
	work     chan struct{}
}

// starts calls f, which starts a process and waits for it elsewhere. Until f
// has returned, no child is reaped as an orphan.
func (c *children) starts(f func() (pid int, err error)) error {
	c.starting.RLock()
	defer c.starting.RUnlock()
	defer func() {
		select {
		case c.worked() <- struct{}{}:
		default:
		}
	}()
	pid, err := f()
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.awaited == nil {
		c.awaited = map[int]bool{}
	}
	c.awaited[pid] = true
	return nil
}

// settled returns when no call of starts is under way that began before.
func (c *children) settled() {
	c.starting.Lock()
	defer c.starting.Unlock() // to have waited is all
}

// ended forgets a process that was waited for.
func (c *children) ended(pid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.awaited, pid)
}

// isAwaited reports whether the process is a child that we started.
func (c *children) isAwaited(pid int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.awaited[pid]
}

// worked returns a channel that receives after a process was started.
func (c *children) worked() chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.work == nil {
		c.work = make(chan struct{}, 1)
	}
	return c.work
}

// reap waits for orphans until ctx is done.
func (c *children) reap(ctx context.Context) {
	died := make(chan os.Signal, 1)
	signal.Notify(died, unix.SIGCHLD)
	defer signal.Stop(died)
	for {
		select {
		case <-died:
			c.reapOrphans()
		case <-ctx.Done():
			return
		}
	}
}

func (c *children) reapOrphans() {
	c.starting.Lock()
	defer c.starting.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !anyEnded() {
		return // the last start has reaped what it had started
	}
	for _, pid := range ownChildren() {
		if !c.awaited[pid] {
			unix.Wait4(pid, nil, unix.WNOHANG, nil)
		}
	}
}

// anyEnded reports whether there is a child to be reaped, by whomever.
func anyEnded() bool {
	var end unix.Siginfo
	err := unix.Waitid(unix.P_ALL, 0, &end, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err == nil && end.Signo == int32(unix.SIGCHLD)
}

// ownChildren lists the children of all our threads (proc(5), children).
func ownChildren() (pids []int) {
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, task := range tasks {
		data, _ := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		for field := range strings.FieldsSeq(string(data)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
