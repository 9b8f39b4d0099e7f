// Package container runs processes in containers that an OCI runtime spec
// describes. It is a thin layer over runc's libcontainer, which does the work:
//
//   - it starts this same program again as "init" (see [Init]), which joins and
//     makes namespaces in C, before Go has started threads;
//   - that process mounts the file systems, pivots into the root, drops what it
//     may not keep, and becomes the container's program by execve;
//   - we, its parent, put it into its cgroups on the way.
//
// The program that uses this package is the parent of the containers, and must
// stay: only a parent learns an exit code.
package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/opencontainers/cgroups"
	_ "github.com/opencontainers/cgroups/devices" // the device rules of a cgroup are a plug-in
	"github.com/opencontainers/cgroups/manager"
	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/configs"
	_ "github.com/opencontainers/runc/libcontainer/nsenter" // the C part of Init
	"github.com/opencontainers/runc/libcontainer/specconv"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/steps/00-container/internal/sysmon"
)

// Init is what a container's process runs first. A program that uses this
// package calls it, before anything else, if its first argument is "init".
//
// It lives for milliseconds, so it does not collect garbage. It takes back what a
// shim does without for itself alone: huge pages (package reaper).
func Init() {
	debug.SetGCPercent(-1)
	sysmon.Calm(10 * time.Millisecond)
	if err := unix.Prctl(unix.PR_SET_THP_DISABLE, 0, 0, 0, 0); err != nil {
		fail(fmt.Errorf("allow huge pages: %w", err))
	}
	if err := makePlainTree(); err != nil {
		fail(err)
	}
	libcontainer.Init()
}

// Stdio is what a process reads and writes: three files, of which any may be
// nil for /dev/null, or a socket over which libcontainer sends the master of a
// new terminal. The files remain the caller's.
type Stdio struct {
	In, Out, Err *os.File
	Console      *os.File
}

// A Container is a container that has been started.
type Container struct {
	c    *libcontainer.Container
	init *libcontainer.Process // nil after Load
	dir  string                // what libcontainer keeps of it
}

// A Process is one that Exec has started.
type Process struct{ p *libcontainer.Process }

// Start makes a container and runs its process. The directory root/id keeps
// what Load needs. Start is all or nothing.
func Start(root, id string, spec *specs.Spec, io Stdio) (*Container, error) {
	return start(root, id, spec, io, newPlainTree)
}

func start(root, id string, spec *specs.Spec, io Stdio, take func(*configs.Config) (*plainTree, error)) (*Container, error) {
	config, err := configOf(id, spec)
	if err != nil {
		return nil, err
	}
	tree, err := take(config)
	if err != nil {
		return nil, err
	}
	c, err := libcontainer.Create(root, id, config)
	if err != nil {
		return nil, err
	}
	p := newProcess(spec.Process, io)
	p.Init = true
	if err = tree.save(filepath.Join(root, id)); err == nil {
		err = c.Run(p)
	}
	if err != nil {
		return nil, errors.Join(err, c.Destroy())
	}
	return &Container{c, p, filepath.Join(root, id)}, nil
}

func configOf(id string, spec *specs.Spec) (*configs.Config, error) {
	return specconv.CreateLibcontainerConfig(&specconv.CreateOpts{CgroupName: id, Spec: spec, NoNewKeyring: true})
}

// Load finds a container again whose parent was another process.
func Load(root, id string) (*Container, error) {
	c, err := libcontainer.Load(root, id)
	if err != nil {
		return nil, err
	}
	return &Container{c: c, dir: filepath.Join(root, id)}, nil
}

// PID is the container's first process.
func (c *Container) PID() (int, error) {
	if c.init != nil {
		return c.init.Pid()
	}
	s, err := c.c.State()
	if err != nil {
		return 0, err
	}
	return s.InitProcessPid, nil
}

// Wait waits for the first process to end and returns its exit code. It can be
// called once, and only by the process that called Start.
func (c *Container) Wait() (int, error) { return (&Process{c.init}).Wait() }

// Exec runs one more process in the container.
func (c *Container) Exec(spec *specs.Process, io Stdio) (*Process, error) {
	p := newProcess(spec, io)
	if err := c.c.Run(p); err != nil {
		return nil, err
	}
	return &Process{p}, nil
}

// Signal sends a signal to the container's first process. In a container
// without a PID namespace of its own SIGKILL goes to all of its processes.
func (c *Container) Signal(sig syscall.Signal) error {
	err := c.c.Signal(sig)
	if errors.Is(err, libcontainer.ErrNotRunning) || errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// OOMKilled reports whether the kernel killed a process of this container
// because its memory cgroup was full. Only true or false before Destroy.
func (c *Container) OOMKilled() bool {
	m, err := c.cgroup()
	if err != nil {
		return false
	}
	n, err := m.OOMKillCount()
	return err == nil && n > 0
}

// cgroup reads what libcontainer keeps. Asked for its state, it would look for the
// process as well, and make sure in a procfs of its own that a dead one is gone.
func (c *Container) cgroup() (cgroups.Manager, error) {
	data, err := os.ReadFile(filepath.Join(c.dir, "state.json"))
	if err != nil {
		return nil, err
	}
	var kept struct {
		CgroupPaths map[string]string `json:"cgroup_paths"` // as in libcontainer.State
	}
	if err := json.Unmarshal(data, &kept); err != nil {
		return nil, err
	}
	return manager.NewWithPaths(c.c.Config().Cgroups, kept.CgroupPaths)
}

// Destroy kills what is left of the container and removes its cgroups.
func (c *Container) Destroy() error {
	c.killRest()
	return c.c.Destroy()
}

// RemoveCgroup removes the cgroup of a container of which nothing else is left.
func RemoveCgroup(spec *specs.Spec) error {
	config, err := specconv.CreateCgroupConfig(&specconv.CreateOpts{Spec: spec}, nil)
	if err != nil {
		return err
	}
	m, err := manager.New(config)
	if err != nil {
		return err
	}
	return m.Destroy()
}

// killRest kills processes that outlived the first one, where no PID namespace
// took them along. A member of a v1 cgroup can fork while we read the list, so
// the list is read until it is empty.
func (c *Container) killRest() {
	m, err := c.cgroup()
	if err != nil {
		return
	}
	for range 100 {
		pids, err := m.GetAllPids()
		if err != nil || len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// PID is the process's number, as we see it.
func (p *Process) PID() (int, error) { return p.p.Pid() }

// Wait waits for the process to end and returns its exit code. It can be called once.
func (p *Process) Wait() (int, error) {
	state, err := p.p.Wait()
	if state == nil {
		return 0, fmt.Errorf("wait for process: %w", err)
	}
	status := state.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}
