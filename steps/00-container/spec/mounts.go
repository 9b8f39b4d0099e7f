package spec

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// newMounts lists, in the order of mounting, the kernel's file systems, the
// files that the pod shares, and what was asked for. The later, deeper one
// covers the earlier.
func newMounts(r Request, sec *runtimeapi.LinuxContainerSecurityContext) ([]specs.Mount, string, error) {
	var asked []specs.Mount
	propagation := ""
	for _, m := range r.Config.GetMounts() {
		mount, p, err := bind(m)
		if err != nil {
			return nil, "", fmt.Errorf("mount at %s: %w", m.GetContainerPath(), err)
		}
		asked = append(asked, mount)
		// Propagation into the container needs a root mount that passes it on.
		if p == "rshared" || p == "rslave" && propagation == "" {
			propagation = p
		}
	}
	taken := func(path string) bool {
		return slices.ContainsFunc(asked, func(m specs.Mount) bool { return m.Destination == path })
	}
	mounts := slices.DeleteFunc(kernelMounts(r, sec), func(m specs.Mount) bool { return taken(m.Destination) })
	for _, m := range podFiles(r.Sandbox, sec) {
		if !taken(m.Destination) {
			mounts = append(mounts, m)
		}
	}
	slices.SortStableFunc(asked, func(a, b specs.Mount) int {
		return strings.Count(a.Destination, "/") - strings.Count(b.Destination, "/")
	})
	return append(mounts, asked...), propagation, nil
}

// kernelMounts follows the OCI spec, "Default Filesystems".
func kernelMounts(r Request, sec *runtimeapi.LinuxContainerSecurityContext) []specs.Mount {
	access := "ro"
	if sec.GetPrivileged() {
		access = "rw"
	}
	mounts := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", access}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", access}},
	}
	if r.Sandbox.UserNS && r.Sandbox.HostNetwork {
		// sysfs may be mounted only by who owns the network namespace.
		mounts[4] = specs.Mount{Destination: "/sys", Type: "bind", Source: "/sys", Options: []string{"rbind", "nosuid", "noexec", "nodev", "ro"}}
	}
	return mounts
}

// podFiles are the files that the containers of a pod have in common.
func podFiles(s Sandbox, sec *runtimeapi.LinuxContainerSecurityContext) (mounts []specs.Mount) {
	access := "rw"
	if sec.GetReadonlyRootfs() {
		access = "ro"
	}
	add := func(source, destination string, options ...string) {
		if source != "" {
			mounts = append(mounts, specs.Mount{Destination: destination, Type: "bind", Source: source, Options: append(options, "rbind", "rprivate")})
		}
	}
	add(s.Shm, "/dev/shm", "nosuid", "nodev", "noexec")
	add(s.ResolvConf, "/etc/resolv.conf", access)
	add(s.HostnameFile, "/etc/hostname", access)
	add(s.Hosts, "/etc/hosts", access)
	return mounts
}

// bind translates one mount of the CRI. Images as volumes have been turned
// into host paths by now.
func bind(m *runtimeapi.Mount) (specs.Mount, string, error) {
	if m.GetHostPath() == "" || m.GetContainerPath() == "" {
		return specs.Mount{}, "", errors.New("it needs a path on both sides")
	}
	propagation := map[runtimeapi.MountPropagation]string{
		runtimeapi.MountPropagation_PROPAGATION_PRIVATE:           "rprivate",
		runtimeapi.MountPropagation_PROPAGATION_HOST_TO_CONTAINER: "rslave",
		runtimeapi.MountPropagation_PROPAGATION_BIDIRECTIONAL:     "rshared",
	}[m.GetPropagation()]
	if propagation == "" {
		return specs.Mount{}, "", fmt.Errorf("unknown propagation %d", m.GetPropagation())
	}
	options := []string{"rbind", propagation}
	switch {
	case m.GetRecursiveReadOnly() && !m.GetReadonly():
		return specs.Mount{}, "", errors.New("recursive_read_only needs readonly")
	case m.GetRecursiveReadOnly() && propagation != "rprivate":
		return specs.Mount{}, "", errors.New("recursive_read_only needs private propagation")
	case m.GetRecursiveReadOnly():
		options = append(options, "rro")
	case m.GetReadonly():
		options = append(options, "ro")
	default:
		options = append(options, "rw")
	}
	for _, o := range m.GetMountOptions() {
		if !slices.Contains([]string{"noexec", "nodev", "nosuid", "noatime", "nodiratime", "relatime"}, o) {
			return specs.Mount{}, "", fmt.Errorf("mount option %q is not one of those for bind mounts", o)
		}
		options = append(options, o)
	}
	return specs.Mount{
		Destination: filepath.Clean("/" + m.GetContainerPath()),
		Type:        "bind",
		Source:      m.GetHostPath(),
		Options:     options,
		UIDMappings: idMappings(m.GetUidMappings()),
		GIDMappings: idMappings(m.GetGidMappings()),
	}, propagation, nil
}

func idMappings(maps []*runtimeapi.IDMapping) (out []specs.LinuxIDMapping) {
	for _, m := range maps {
		out = append(out, specs.LinuxIDMapping{ContainerID: m.GetContainerId(), HostID: m.GetHostId(), Size: m.GetLength()})
	}
	return out
}
