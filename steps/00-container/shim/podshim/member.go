package podshim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/steps/00-container/container"
	"github.com/k8s-groundup/groundup/steps/00-container/overlay"
	"github.com/k8s-groundup/groundup/steps/00-container/reaper"
	"github.com/k8s-groundup/groundup/steps/00-container/shim"
	"github.com/k8s-groundup/groundup/steps/00-container/shim/logcopy"
	"github.com/k8s-groundup/groundup/steps/00-container/state"
)

// A member is a container of the pod: one that runs, ran, or is attached to
// before it runs.
type member struct {
	s      *Server
	id     string
	dir    string // run directory
	bundle shim.Bundle
	index  int // on the rack
	pid    int
	done   chan struct{} // closed when exit is there

	mu      sync.Mutex // guards the fields below
	claimed bool       // somebody starts it, or has
	c       *container.Container
	ends    *ends // nil until it has been started
	copier  *logcopy.Copier
	taps    []*logcopy.Tap // from before the start
	exit    *state.Exit
}

// member returns the entry of a container, and makes it if there is none.
func (s *Server) member(id string) *member {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.members[id]
	if k == nil {
		k = &member{s: s, id: id, dir: s.pod.Dirs.RunContainer(s.pod.ID, id), done: make(chan struct{}), index: -1}
		s.members[id] = k
	}
	return k
}

// forgetRemoved drops the containers that do not run and were removed. A pod of which
// one crashes all day has had many.
func (s *Server) forgetRemoved() {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.members, func(_ string, k *member) bool { return !k.isRunning() && !k.exists() })
}

// exists reports whether the container has not been removed.
func (k *member) exists() bool {
	_, err := os.Lstat(k.dir)
	return !errors.Is(err, fs.ErrNotExist)
}

// start runs a container. When it fails the container has ended, too: the
// reason is in its exit file.
func (s *Server) start(c shim.Conn, id string) error {
	s.forgetRemoved()
	k := s.member(id)
	if !k.claim() {
		return fmt.Errorf("container %s has been started already", id)
	}
	if err := s.kids.starts(k.start); err != nil {
		k.finish(state.Exit{Code: 128, Reason: "StartError", Message: err.Error(), At: time.Now()})
		return err
	}
	go k.await()
	return c.Send(shim.Reply{PID: k.pid})
}

func (k *member) start() (pid int, err error) {
	var spec specs.Spec
	if err := errors.Join(
		state.Read(filepath.Join(k.dir, "config.json"), &spec),
		state.Read(filepath.Join(k.dir, "bundle.json"), &k.bundle),
	); err != nil {
		return 0, err
	}
	if err := k.mount(); err != nil {
		return 0, err
	}
	k.index = k.s.freeIndex()
	e, stdio, err := newEnds(k.bundle)
	if err != nil {
		return 0, err
	}
	defer stdio.close()
	k.ends = e
	if err := k.hang(); err != nil {
		return 0, err
	}
	if err := k.startCopier(); err != nil {
		return 0, err
	}
	k.c, err = container.Start(k.s.oci(), k.id, &spec, stdio.Stdio)
	if err != nil {
		return 0, err
	}
	if e.console == nil && k.bundle.TTY {
		err = e.receiveConsole(stdio)
	}
	if err == nil {
		err = k.record()
	}
	if err != nil {
		k.c.Signal(unix.SIGKILL)
		k.c.Wait()
	}
	return k.pid, err
}

// record notes the process, for the manager and for the next shim.
func (k *member) record() (err error) {
	if k.pid, err = k.c.PID(); err != nil {
		return err
	}
	if err := reaper.Expect(k.s.dir, k.pid); err != nil {
		return err
	}
	pidfd, err := openPidfd(k.pid)
	if err != nil {
		return err
	}
	k.ends.pidfd = pidfd
	if err := k.hang(); err != nil {
		return err
	}
	id, err := state.Identify(k.pid)
	if err != nil {
		id = state.Process{PID: k.pid} // it was quick, and is a zombie already
	}
	return state.Write(k.path("started.json"), state.Started{Process: id, At: time.Now(), Slot: k.index})
}

// hang puts our ends on the rack. A pod whose pause process has died has none,
// and starts nothing more.
func (k *member) hang() error {
	if k.s.rack == nil {
		return errors.New("the pod's pause process has died")
	}
	return k.s.rack.Hang(k.index, k.ends.files()...)
}

func (k *member) mount() error {
	rootfs := filepath.Join(k.dir, "rootfs")
	if err := os.MkdirAll(rootfs, 0o755); err != nil {
		return err
	}
	return k.bundle.Rootfs.Mount(rootfs, k.dir)
}

func (k *member) startCopier() (err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.copier, err = logcopy.New(k.bundle.LogPath, filepath.Join(k.dir, "log.journal"), k.ends.flight)
	if err != nil {
		return err
	}
	for _, t := range k.taps {
		k.copier.Attach(t)
	}
	k.taps = nil
	return nil
}

// await sees the container through to its end: the log first, so that whoever
// reads that it has ended can read all that it wrote.
func (k *member) await() {
	ctx, cancel := context.WithCancel(context.Background())
	var copying sync.WaitGroup
	for stream, from := range k.ends.outputs() {
		copying.Go(func() { logError("log", k.copier.Copy(ctx, stream, from), "container", k.id) })
	}
	code, reason := k.waitProcess()
	exit := state.Exit{Code: code, Reason: reason, At: time.Now()}
	if k.c != nil {
		exit.OOM = k.c.OOMKilled()
		logError("destroy", k.c.Destroy(), "container", k.id) // ends whoever still writes
	}
	time.AfterFunc(drainTime, cancel)
	copying.Wait()
	cancel()
	if exit.OOM && exit.Reason == "" {
		exit.Reason = "OOMKilled"
	}
	k.finish(exit)
	k.s.kids.ended(k.pid)
}

// drainTime is how long output is waited for from processes that have escaped
// the container's cgroup and still hold its pipes.
const drainTime = 2 * time.Second

// waitProcess returns the exit code. How a child of a dead shim ended is known
// to that shim's reaper. How ours did must be on record before we reap it: we
// may be killed while we see the log through.
func (k *member) waitProcess() (code int, reason string) {
	if err := waitPidfd(k.ends.pidfd); err != nil {
		slog.Error("wait", "container", k.id, "err", err)
	}
	if k.c != nil && k.s.kids.isAwaited(k.pid) {
		logError("wait", reaper.Note(k.s.dir, k.pid), "container", k.id)
		code, err := k.c.Wait()
		if err == nil {
			return code, ""
		}
		logError("wait", err, "container", k.id)
	}
	if code, ok := reaper.ExitCode(k.s.dir, k.pid, k.ends.pidfd); ok {
		return code, ""
	}
	return 255, "Unknown"
}

// undo takes away what start made for the container, as far as it got.
func (k *member) undo() {
	k.mu.Lock()
	if k.copier != nil {
		logError("close log", k.copier.Close(), "container", k.id)
		k.copier = nil
	} else if k.ends != nil {
		k.ends.closeFlight()
	}
	for _, t := range k.taps {
		t.Gone()
	}
	k.taps = nil
	k.mu.Unlock()
	if k.ends != nil {
		k.ends.close()
	}
	if k.pid != 0 {
		logError("forget", reaper.Forget(k.s.dir, k.pid), "container", k.id)
	}
	if k.index >= 0 && k.s.rack != nil {
		logError("clear rack", k.s.rack.Clear(k.index), "container", k.id)
	}
	logError("unmount", overlay.Unmount(filepath.Join(k.dir, "rootfs")), "container", k.id)
}

// finish puts on record how the container ended, then takes away what was made
// for it, and then tells everybody. In this order: a shim that is killed in
// between leaves things to take away, but never an end that nobody knows.
func (k *member) finish(exit state.Exit) {
	logError("record exit", state.Write(k.path("exit.json"), exit), "container", k.id)
	k.undo()
	k.mu.Lock()
	k.exit = &exit
	k.mu.Unlock()
	close(k.done)
	k.s.announce(ended{k.id, exit})
}

func (k *member) path(name string) string {
	return filepath.Join(k.s.pod.Dirs.Container(k.s.pod.ID, k.id), name)
}

// claim makes the caller the one who starts the container. It can be had once.
func (k *member) claim() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.claimed || k.pid != 0 || k.exit != nil {
		return false
	}
	k.claimed = true
	return true
}

func (k *member) isStarted() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pid != 0 || k.exit != nil
}

func (k *member) isRunning() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pid != 0 && k.exit == nil
}

// freeIndex is a place on the rack that no container has that has not ended.
func (s *Server) freeIndex() int {
	i := 0
	for s.usesIndex(i) {
		i++
	}
	return i
}

func (s *Server) usesIndex(i int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.members {
		if k.index == i && !k.hasEnded() {
			return true
		}
	}
	return false
}

func (k *member) hasEnded() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.exit != nil
}

// oci is where libcontainer keeps its state.
func (s *Server) oci() string { return filepath.Join(s.dir, "oci") }
