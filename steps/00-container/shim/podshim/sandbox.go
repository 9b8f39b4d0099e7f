package podshim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/steps/00-container/overlay"
	"github.com/k8s-groundup/groundup/steps/00-container/pause"
	"github.com/k8s-groundup/groundup/steps/00-container/shim"
	"github.com/k8s-groundup/groundup/steps/00-container/state"
)

// startPause starts the pause process and prepares the namespaces that it
// holds. It is killed if we die before it is on record.
func (s *Server) startPause() error {
	empty := filepath.Join(s.dir, "empty")
	if err := os.MkdirAll(empty, 0o755); err != nil {
		return err
	}
	group, err := s.cgroup()
	if err != nil {
		return err
	}
	var p *pause.Process
	err = s.kids.starts(func() (int, error) {
		p, err = pause.Start(pause.Options{
			Dir: empty, Net: s.pod.Net, IPC: s.pod.IPC, PID: s.pod.PID,
			UIDs: idMap(s.pod.UIDs), GIDs: idMap(s.pod.GIDs),
			Cgroup: group.Apply,
		})
		if err != nil {
			return 0, errors.Join(err, group.Destroy())
		}
		return p.PID, nil
	})
	if err != nil {
		return err
	}
	s.rack = p.Rack
	if err := s.record(p); err != nil {
		return errors.Join(err, p.Kill(), s.release())
	}
	s.pausePID = p.PID
	go func() {
		p.Wait()
		s.kids.ended(p.PID)
	}()
	return nil
}

func (s *Server) record(p *pause.Process) error {
	if err := s.prepare(p.PID); err != nil {
		return err
	}
	id, err := state.Identify(p.PID)
	if err != nil {
		return err
	}
	if err := state.Write(filepath.Join(s.dir, "pause.json"), id); err != nil {
		return err
	}
	return p.Settle()
}

// prepare sets what belongs to a namespace and not to a process.
func (s *Server) prepare(pid int) error {
	adj := fmt.Sprintf("/proc/%d/oom_score_adj", pid)
	if err := os.WriteFile(adj, []byte(fmt.Sprint(s.pod.OOMScore)), 0); err != nil && !errors.Is(err, os.ErrPermission) {
		return err
	}
	if s.pod.Net {
		if err := bindNetns(pid, s.pod.Dirs.Netns(s.pod.ID)); err != nil {
			return err
		}
	}
	return inNamespaces(pid, func() error {
		if s.pod.Net && s.pod.Hostname != "" { // else the UTS namespace is the node's
			if err := unix.Sethostname([]byte(s.pod.Hostname)); err != nil {
				return os.NewSyscallError("sethostname", err)
			}
		}
		for file, value := range s.pod.Sysctls {
			if err := os.WriteFile(filepath.Join("/proc/sys", file), []byte(value), 0); err != nil {
				return fmt.Errorf("sysctl: %w", err)
			}
		}
		return nil
	})
}

// bindNetns gives the network namespace a name that outlives its processes, so
// that the network can be taken down after they have died.
func bindNetns(pid int, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o444)
	if err != nil {
		return err
	}
	f.Close()
	if err := unix.Mount(fmt.Sprintf("/proc/%d/ns/net", pid), path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("keep the network namespace at %s: %w", path, err)
	}
	return nil
}

// inNamespaces calls f on a thread in the process's network, IPC and UTS
// namespaces. The thread ends with it, for it can't be trusted to be back.
func inNamespaces(pid int, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- func() error {
			pidfd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				return os.NewSyscallError("pidfd_open", err)
			}
			defer unix.Close(pidfd)
			// setns(2): since Linux 5.8 a pidfd joins several at once.
			if err := unix.Setns(pidfd, unix.CLONE_NEWNET|unix.CLONE_NEWIPC|unix.CLONE_NEWUTS); err != nil {
				return os.NewSyscallError("setns", err)
			}
			return f()
		}()
	}()
	return <-done
}

// endPause kills the pause process and takes away what stood for the pod.
func (s *Server) endPause() error {
	s.mu.Lock()
	pid := s.pausePID
	s.mu.Unlock()
	if pid != 0 {
		if err := killAndWait(pid); err != nil {
			return err
		}
	}
	if err := s.release(); err != nil {
		return err
	}
	return removeFile(filepath.Join(s.dir, "pause.json"))
}

func (s *Server) release() error {
	netns := s.pod.Dirs.Netns(s.pod.ID)
	err := errors.Join(overlay.Unmount(netns), removeFile(netns))
	group, err2 := s.cgroup()
	if err2 == nil {
		err2 = group.Destroy()
	}
	return errors.Join(err, err2)
}

func removeFile(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// killAndWait kills a process that another goroutine reaps, or another process.
func killAndWait(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil // gone already
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		return os.NewSyscallError("pidfd_send_signal", err)
	}
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return fmt.Errorf("process %d does not die: %w", pid, errors.Join(err, os.ErrDeadlineExceeded))
		}
		return nil
	}
}

// cgroup is the sandbox's own, for the pause process alone; containers are its
// siblings.
func (s *Server) cgroup() (cgroups.Manager, error) {
	return manager.New(&cgroups.Cgroup{
		Path:      s.pod.CgroupPath,
		Resources: &cgroups.Resources{SkipDevices: true},
	})
}

func idMap(maps []shim.IDMap) (out []syscall.SysProcIDMap) {
	for _, m := range maps {
		out = append(out, syscall.SysProcIDMap{ContainerID: m.Container, HostID: m.Host, Size: m.Size})
	}
	return out
}
