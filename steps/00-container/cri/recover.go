package cri

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/shim"
	"github.com/k8s-groundup/groundup/steps/00-container/state"
)

// A child that a manager had just forked when it was killed has the manager's
// locks until its execve. So a lock that is taken is tried again for some time.
const (
	forked  = time.Second
	between = 10 * time.Millisecond
)

// recover looks at every pod as a predecessor has left it. A pod that another
// process goes on changing is that one's business.
func (s *Service) recover(ctx context.Context) error {
	ids, err := names(filepath.Join(s.dirs.Root, "pods"))
	if err != nil {
		return err
	}
	ids = s.recoverPods(ctx, ids)
	for end := time.Now().Add(forked); len(ids) > 0 && time.Now().Before(end); <-time.After(between) {
		ids = s.recoverPods(ctx, ids)
	}
	return s.removeStaleLocks()
}

// recoverPods returns the pods whose locks are taken.
func (s *Service) recoverPods(ctx context.Context, ids []string) (taken []string) {
	for _, id := range ids {
		free, err := s.recoverPod(ctx, id)
		if err != nil {
			// One bad pod must not keep the others from being served.
			s.log.Error("recover", "sandbox", id, "err", err)
		} else if !free {
			taken = append(taken, id)
		}
	}
	return taken
}

// Reset removes every pod, and the cgroup above those that named none.
func (s *Service) Reset(ctx context.Context) error {
	all, err := s.allSandboxes()
	if err != nil {
		return err
	}
	for _, sb := range all {
		_, err2 := s.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: sb.ID})
		err = errors.Join(err, err2)
	}
	return errors.Join(err, removeCgroup(s.conf.CgroupParent))
}

// removeStaleLocks removes the lock files of pods that are gone. One that is
// held belongs to a pod that is about to be made.
func (s *Service) removeStaleLocks() error {
	files, err := names(filepath.Dir(s.lockFile("x")))
	if err != nil {
		return err
	}
	for _, name := range files {
		id := strings.TrimSuffix(name, ".adopt")
		if name == namesLock || exists(s.dirs.Pod(id)) {
			continue
		}
		unlock, err := state.TryLock(s.lockFile(name))
		if err != nil || unlock == nil {
			continue
		}
		if !exists(s.dirs.Pod(id)) {
			err = removeFile(s.lockFile(name))
		}
		unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// recoverPod does nothing if the pod's lock is not free.
func (s *Service) recoverPod(ctx context.Context, id string) (free bool, err error) {
	unlock, err := state.TryLock(s.lockFile(id))
	if err != nil || unlock == nil {
		return false, err
	}
	defer unlock()
	return true, s.settle(ctx, id)
}

// settle ends what was half done of a pod, and finds its shim.
func (s *Service) settle(ctx context.Context, id string) error {
	sb, err := s.records.sandboxes.Read(s.sandboxFile(id))
	if err != nil || sb.Stage == creating || sb.Stage == failed {
		s.log.Info("removing a sandbox that was only half made", "sandbox", id)
		half := sandbox{ID: id, Stage: creating, Cgroup: filepath.Join(s.conf.CgroupParent, "pod"+id), OwnCgroup: true}
		if err == nil {
			half = *sb
		}
		return s.removeSandbox(ctx, &half)
	}
	if err := s.discardHalfContainers(id); err != nil {
		return err
	}
	client, err := s.shim(ctx, id)
	if err != nil {
		return err
	}
	// What a predecessor has asked for is begun: whoever finds the container as it
	// was before would start it a second time.
	if err := client.Settled(ctx); err != nil && !errors.Is(err, shim.ErrGone) {
		return err
	}
	return s.settleLost(sb)
}

// discardHalfContainers removes containers of which no record was written.
func (s *Service) discardHalfContainers(pod string) error {
	ids, err := names(filepath.Join(s.dirs.Pod(pod), "containers"))
	if err != nil {
		return err
	}
	for _, id := range ids {
		if _, err := s.readContainer(pod, id); !errors.Is(err, state.ErrNotFound) {
			continue
		}
		s.log.Info("removing a container that was only half made", "sandbox", pod, "container", id)
		if err := s.discardContainer(pod, id); err != nil {
			return err
		}
	}
	return nil
}

// settleLost writes how containers ended that ran when the node went down.
func (s *Service) settleLost(sb *sandbox) error {
	if exists(filepath.Join(s.dirs.RunPod(sb.ID), "pause.json")) {
		return nil // there is a shim, and it is the shim's to write
	}
	containers, err := s.containersOf(sb.ID)
	if err != nil {
		return err
	}
	for _, c := range containers {
		if p := s.startedAs(c); p == nil || s.exit(c) != nil || p.Alive() {
			continue
		}
		exit := state.Exit{Code: 255, Reason: "Unknown", Message: "the node went down while the container ran", At: time.Now()}
		if err := state.Write(s.containerFile(c, "exit.json"), exit); err != nil {
			return err
		}
	}
	return nil
}

// shim returns the client of a pod's shim. If the shim has died, a new one
// adopts the pod first. A pod that has no pause process on record has nothing
// to adopt, and its client fails with ErrGone.
func (s *Service) shim(ctx context.Context, sandbox string) (*shim.Client, error) {
	run := s.dirs.RunPod(sandbox)
	client := shim.New(run)
	if client.Listening() || !exists(filepath.Join(run, "pause.json")) {
		return client, nil
	}
	unlock, err := state.Lock(s.adoptFile(sandbox))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if client.Listening() || !exists(filepath.Join(run, "pause.json")) {
		return client, nil // somebody else was quicker
	}
	s.log.Warn("the shim has died; starting a new one", "sandbox", sandbox)
	program, err := s.program()
	if err != nil {
		return nil, err
	}
	return shim.Start(ctx, program, run)
}

func (s *Service) adoptFile(sandbox string) string { return s.lockFile(sandbox) + ".adopt" }

// withShim calls f, and once more with a new shim if there is none, or if it
// died under f.
func (s *Service) withShim(ctx context.Context, sandbox string, f func(*shim.Client) error) error {
	err := f(shim.New(s.dirs.RunPod(sandbox)))
	if !errors.Is(err, shim.ErrGone) {
		return err
	}
	client, err := s.shim(ctx, sandbox)
	if err != nil {
		return err
	}
	return f(client)
}

// discardContainer removes everything of a container that does not run.
func (s *Service) discardContainer(pod, id string) error {
	run := s.dirs.RunContainer(pod, id)
	if err := unmountBelow(run); err != nil {
		return err
	}
	s.usage.forget(id, filepath.Join(s.dirs.Container(pod, id), "upper"))
	s.records.mu.Lock()
	delete(s.records.parents, id)
	s.records.mu.Unlock()
	// The record goes last: until then the container can be found, and removed. So it is
	// found as what it was: how it ended is forgotten after that.
	dir := s.dirs.Container(pod, id)
	entries, err := names(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !slices.Contains([]string{"container.json", "started.json", "exit.json"}, e) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e)))
		}
	}
	if err := errors.Join(err, s.releaseImages(id), os.RemoveAll(run)); err != nil {
		return err
	}
	return errors.Join(removeFile(filepath.Join(dir, "container.json")), os.RemoveAll(dir))
}
