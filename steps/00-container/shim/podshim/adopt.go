package podshim

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/steps/00-container/container"
	"github.com/k8s-groundup/groundup/steps/00-container/pause"
	"github.com/k8s-groundup/groundup/steps/00-container/state"
)

// adopt takes over what a dead shim has left. Its containers are children of
// its reaper now, or dead, and everything of theirs that matters is on the rack.
func (s *Server) adopt(p state.Process) error {
	if p.Alive() {
		rack, err := pause.OpenRack(p.PID)
		if err != nil {
			return err
		}
		s.rack, s.pausePID = rack, p.PID
	}
	dirs, err := filepath.Glob(s.pod.Dirs.RunContainer(s.pod.ID, "*"))
	if err != nil {
		return err
	}
	var over []*member
	for _, dir := range dirs {
		k := s.member(filepath.Base(dir))
		if k.readExit() {
			over = append(over, k)
			continue
		}
		s.adoptContainer(k)
	}
	for _, k := range over {
		s.tidy(k)
	}
	return nil
}

// readExit reports whether the container has ended, as far as is on record.
func (k *member) readExit() bool {
	var exit state.Exit
	if err := state.Read(k.path("exit.json"), &exit); err != nil {
		return false
	}
	k.exit = &exit
	close(k.done)
	return true
}

// tidy finishes the undoing of a container that has ended. Its place on the
// rack may be another's by now.
func (s *Server) tidy(k *member) {
	var started state.Started
	if err := state.Read(k.path("started.json"), &started); err == nil && !s.usesIndex(started.Slot) {
		k.index = started.Slot
	}
	k.undo()
}

func (s *Server) adoptContainer(k *member) {
	var started state.Started
	if err := state.Read(k.path("started.json"), &started); err != nil {
		s.discard(k)
		return
	}
	k.pid, k.index = started.PID, started.Slot
	if err := k.reconnect(); err != nil {
		fmt.Fprintf(os.Stderr, "container %s: %v\n", k.id, err)
		s.lost(k, started)
		return
	}
	go k.await()
}

// reconnect gets the container's ends back and goes on copying.
func (k *member) reconnect() (err error) {
	if err := state.Read(filepath.Join(k.dir, "bundle.json"), &k.bundle); err != nil {
		return err
	}
	// Without its state there is nothing to signal and destroy, but an end to wait for.
	k.c, _ = container.Load(k.s.oci(), k.id)
	if k.s.rack == nil {
		return fmt.Errorf("the pause process is gone, and the pipes with it")
	}
	if k.ends, err = takeEnds(k.s.rack, k.index, k.bundle); err != nil {
		return err
	}
	return k.startCopier()
}

// lost is for a container whose pause process died as well. Nobody can read
// what it writes any more, so it is killed; how it would have ended is unknown.
func (s *Server) lost(k *member, started state.Started) {
	if started.Alive() {
		logError("kill", killAndWait(started.PID), "container", k.id)
	}
	if k.c != nil {
		logError("destroy", k.c.Destroy(), "container", k.id)
	}
	k.finish(state.Exit{Code: 255, Reason: "Unknown", Message: "the pod's shim and its pause process died while the container ran", At: time.Now()})
}

// discard is for a container whose start was not finished: nobody was told
// that it runs, so it must not.
func (s *Server) discard(k *member) {
	_, err := os.Stat(filepath.Join(s.oci(), k.id))
	if _, err2 := os.Stat(filepath.Join(k.dir, "rootfs")); err != nil && err2 != nil {
		return // it was never begun
	}
	if c, err := container.Load(s.oci(), k.id); err == nil {
		if pid, err := c.PID(); err == nil && pid > 0 {
			logError("kill", c.Signal(unix.SIGKILL), "container", k.id)
		}
		logError("destroy", c.Destroy(), "container", k.id)
	}
	var spec specs.Spec
	if err := state.Read(filepath.Join(k.dir, "config.json"), &spec); err == nil {
		logError("remove cgroup", container.RemoveCgroup(&spec), "container", k.id)
	}
	os.RemoveAll(filepath.Join(s.oci(), k.id))
	k.finish(state.Exit{Code: 128, Reason: "StartError", Message: "the shim died while it started the container", At: time.Now()})
}
