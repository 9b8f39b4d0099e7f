package cri

import (
	"os"
	"path/filepath"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/fs2"
)

// beginGracePeriod begins, while a container is being created, a wait that its
// start would have to sit out.
//
// Whoever puts a process into a cgroup keeps all others from forking and exiting
// meanwhile (cgroup_threadgroup_rwsem). So that they pay nothing for that, the
// writer does: the first in a while waits for a grace period of RCU, which is
// some milliseconds, and those that soon follow need not (kernel/rcu/sync.c).
// This is that first one. It changes nothing: we join the cgroup that we are in.
func (s *Service) beginGracePeriod() {
	s.background.Go(func() {
		dir, err := ownCgroup()
		if err == nil {
			err = cgroups.WriteCgroupProc(dir, os.Getpid())
		}
		if err != nil {
			s.log.Debug("the start will wait for its cgroup", "err", err)
		}
	})
}

// ownCgroup is this process's, in a hierarchy that libcontainer can't do without.
func ownCgroup() (string, error) {
	if !cgroups.IsCgroup2UnifiedMode() {
		return cgroups.GetOwnCgroupPath("devices")
	}
	paths, err := cgroups.ParseCgroupFile("/proc/self/cgroup")
	return filepath.Join(fs2.UnifiedMountpoint, paths[""]), err
}
