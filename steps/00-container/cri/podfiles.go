package cri

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/overlay"
	"github.com/k8s-groundup/groundup/steps/00-container/spec"
	"github.com/k8s-groundup/groundup/steps/00-container/state"
)

// writePodFiles makes the files that all containers of a pod mount.
func (s *Service) writePodFiles(sb *sandbox) error {
	run := s.dirs.RunPod(sb.ID)
	resolv, err := resolvConf(sb.Config.GetDnsConfig())
	if err != nil {
		return err
	}
	if err := state.WriteFile(filepath.Join(run, "resolv.conf"), resolv, 0o644); err != nil {
		return err
	}
	if name := sb.Config.GetHostname(); name != "" {
		if err := state.WriteFile(filepath.Join(run, "hostname"), []byte(name+"\n"), 0o644); err != nil {
			return err
		}
	}
	if hostIPC(sb.Config) {
		return nil
	}
	shm := filepath.Join(run, "shm")
	if err := os.MkdirAll(shm, 0o711); err != nil {
		return err
	}
	if err := unix.Mount("shm", shm, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=1777,size=64m"); err != nil {
		return fmt.Errorf("mount %s: %w", shm, err)
	}
	return nil
}

// resolvConf renders a resolv.conf(5); a pod that has no DNS settings has the node's.
func resolvConf(c *runtimeapi.DNSConfig) ([]byte, error) {
	if c == nil {
		data, err := os.ReadFile("/etc/resolv.conf")
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		return data, err
	}
	var b strings.Builder
	if len(c.GetSearches()) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(c.GetSearches(), " "))
	}
	for _, server := range c.GetServers() {
		fmt.Fprintf(&b, "nameserver %s\n", server)
	}
	if len(c.GetOptions()) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(c.GetOptions(), " "))
	}
	return []byte(b.String()), nil
}

// writeHosts makes an /etc/hosts for pods without a kubelet; a kubelet mounts
// its own over it.
func (s *Service) writeHosts(sb *sandbox) error {
	path := filepath.Join(s.dirs.RunPod(sb.ID), "hosts")
	if hostNetwork(sb.Config) {
		data, err := os.ReadFile("/etc/hosts")
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return state.WriteFile(path, data, 0o644)
	}
	hosts := "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
	if name := sb.Config.GetHostname(); name != "" {
		for _, ip := range sb.IPs {
			hosts += ip.String() + "\t" + name + "\n"
		}
	}
	return state.WriteFile(path, []byte(hosts), 0o644)
}

// specSandbox tells package spec about the pod.
func (s *Service) specSandbox(sb *sandbox, pausePID int) spec.Sandbox {
	run := s.dirs.RunPod(sb.ID)
	out := spec.Sandbox{
		PausePID:     pausePID,
		Hostname:     sb.Config.GetHostname(),
		CgroupParent: sb.Cgroup,
		UserNS:       userNS(sb.Config) != nil,
		HostNetwork:  hostNetwork(sb.Config),
		HostIPC:      hostIPC(sb.Config),
		ResolvConf:   filepath.Join(run, "resolv.conf"),
		Hosts:        filepath.Join(run, "hosts"),
		Shm:          filepath.Join(run, "shm"),
	}
	if out.Hostname != "" {
		out.HostnameFile = filepath.Join(run, "hostname")
	}
	if out.HostIPC {
		out.Shm = "/dev/shm"
	}
	return out
}

// releasePod takes away the pod's mounts, and what a shim that died early has
// not taken away itself.
func (s *Service) releasePod(sb *sandbox) error {
	netns := s.dirs.Netns(sb.ID)
	return errors.Join(
		unmountBelow(s.dirs.RunPod(sb.ID)),
		overlay.Unmount(netns),
		removeFile(netns),
		removeCgroup(filepath.Join(sb.Cgroup, sb.ID)),
	)
}

func removeFile(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// unmountBelow unmounts everything in a directory, the deepest first.
func unmountBelow(dir string) error {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return err
	}
	for i := len(mounts) - 1; i >= 0; i-- {
		err = errors.Join(err, overlay.Unmount(mounts[i].Mountpoint))
	}
	return err
}
