package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A tracer is an instance of the kernel's tracer of our own, which sees this
// process and its descendants (Documentation/trace/ftrace.rst, "Instances").
type tracer struct{ dir string }

// tracedEvents are few, so that the watching takes no time to speak of.
var tracedEvents = []string{
	"sched/sched_process_exec", "cgroup/cgroup_attach_task", "task/task_rename",
	"syscalls/sys_enter_mount", "syscalls/sys_enter_pivot_root",
}

// newTracer fails with fs.ErrNotExist where there is no tracefs.
func newTracer() (*tracer, error) {
	dir, err := os.MkdirTemp("/sys/kernel/tracing/instances", "groundup-bench-")
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	t := &tracer{dir}
	err = t.write("options/event-fork", "1") // children are seen, too
	for _, e := range tracedEvents {
		err = errors.Join(err, t.write(filepath.Join("events", e, "enable"), "1"))
	}
	if err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

// trace returns what the kernel saw while f ran, between two marks.
func (t *tracer) trace(f func() error) (string, error) {
	var pids []string
	for _, pid := range descendants(os.Getpid()) {
		pids = append(pids, strconv.Itoa(pid))
	}
	if err := errors.Join(t.write("set_event_pid", strings.Join(pids, " ")), t.write("trace", ""), t.write("trace_marker", "asked")); err != nil {
		return "", err
	}
	err := f()
	if err = errors.Join(err, t.write("trace_marker", "answered")); err != nil {
		return "", err
	}
	b, err := os.ReadFile(filepath.Join(t.dir, "trace"))
	return string(b), err
}

func (t *tracer) write(name, value string) error {
	return os.WriteFile(filepath.Join(t.dir, name), []byte(value), 0)
}

// close removes the instance. What it traced goes with it.
func (t *tracer) close() error { return os.Remove(t.dir) }

// descendants lists the threads of a process and of all below it (proc(5), children).
func descendants(pid int) (all []int) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil // it has ended
	}
	for _, task := range tasks {
		if tid, err := strconv.Atoi(task.Name()); err == nil {
			all = append(all, tid)
		}
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		if err != nil {
			continue
		}
		for field := range strings.FieldsSeq(string(children)) {
			if child, err := strconv.Atoi(field); err == nil {
				all = append(all, descendants(child)...)
			}
		}
	}
	return all
}
