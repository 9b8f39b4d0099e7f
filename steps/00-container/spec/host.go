package spec

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/capability"
	"github.com/opencontainers/cgroups"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A Host is what this machine, and this process on it, can give.
type Host struct {
	Capabilities   []string // what we have to give, CAP_CHOWN and so on
	CgroupV2       bool
	CgroupNS       bool // a container can have a cgroup namespace
	Swap           bool // the memory controller counts swap
	HugePages      bool // there is a hugetlb controller
	Seccomp        bool // runtime-shim was built with libseccomp
	AppArmor       bool
	SELinux        bool
	MinOOMScoreAdj int    // how low we may set it
	MaxFiles       uint64 // how high we may set RLIMIT_NOFILE

	// Devices lists the device nodes at or below a path of the node.
	Devices func(path string) ([]specs.LinuxDevice, error)
}

// Probe looks at the machine. Whether there is seccomp only the shim's binary
// can tell.
func Probe(seccomp bool) (Host, error) {
	h := Host{
		CgroupV2:       cgroups.IsCgroup2UnifiedMode(),
		Seccomp:        seccomp,
		AppArmor:       fileSays("/sys/module/apparmor/parameters/enabled", "Y"),
		SELinux:        exists("/sys/fs/selinux/enforce"),
		MinOOMScoreAdj: -1000,
		MaxFiles:       unlimitedFiles,
		Devices:        listDevices,
	}
	if h.CgroupV2 {
		h.CgroupNS, h.Swap, h.HugePages = true, true, fileHas("/sys/fs/cgroup/cgroup.controllers", "hugetlb")
	} else {
		h.CgroupNS = mountedByName()
		h.Swap = exists("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes")
		h.HugePages = exists("/sys/fs/cgroup/hugetlb")
	}
	caps, err := capability.NewPid2(0)
	if err == nil {
		err = caps.Load()
	}
	if err != nil {
		return h, err
	}
	for _, c := range capability.ListKnown() {
		if caps.Get(capability.PERMITTED, c) && caps.Get(capability.BOUNDING, c) {
			h.Capabilities = append(h.Capabilities, capabilityName(c))
		}
	}
	if !caps.Get(capability.EFFECTIVE, capability.CAP_SYS_RESOURCE) {
		err = h.limit()
	}
	return h, err
}

// mountedByName reports whether each hierarchy of cgroup v1 is mounted at the
// names of its controllers, or at systemd. In a cgroup namespace libcontainer
// mounts it anew, and takes the name of the mount point for what it is.
func mountedByName() bool {
	mounts, err1 := cgroups.GetCgroupMounts(false)
	controllers, err2 := cgroups.GetAllSubsystems()
	return err1 == nil && err2 == nil && !slices.ContainsFunc(mounts, func(m cgroups.Mount) bool {
		return !bearsItsName(m, controllers)
	})
}

func bearsItsName(m cgroups.Mount, controllers []string) bool {
	base := filepath.Base(m.Mountpoint)
	if base == "systemd" {
		return slices.Equal(m.Subsystems, []string{"systemd"})
	}
	return !slices.ContainsFunc(strings.Split(base, ","), func(name string) bool {
		return !slices.Contains(m.Subsystems, name) || !slices.Contains(controllers, name)
	})
}

// limit is for a process without CAP_SYS_RESOURCE: it may make things worse
// for its children, never better.
func (h *Host) limit() error {
	data, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return err
	}
	if h.MinOOMScoreAdj, err = strconv.Atoi(strings.TrimSpace(string(data))); err != nil {
		return err
	}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return err
	}
	h.MaxFiles = files.Max
	return nil
}

// listDevices leaves out what every container has of its own.
func listDevices(path string) (devices []specs.LinuxDevice, err error) {
	err = filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil && p == path:
			return err
		case err != nil:
			return nil
		case e.IsDir():
			switch p {
			case "/dev/pts", "/dev/shm", "/dev/fd", "/dev/mqueue", "/dev/hugepages":
				return filepath.SkipDir
			}
			return nil
		case p == "/dev/console" || p == "/dev/ptmx":
			return nil
		}
		var st unix.Stat_t
		if unix.Stat(p, &st) != nil || p != path && e.Type()&fs.ModeSymlink != 0 {
			return nil
		}
		kind := map[uint32]string{unix.S_IFCHR: "c", unix.S_IFBLK: "b"}[st.Mode&unix.S_IFMT]
		if kind == "" {
			return nil
		}
		mode := fs.FileMode(st.Mode & 0o777)
		devices = append(devices, specs.LinuxDevice{
			Path: p, Type: kind, FileMode: &mode, UID: &st.Uid, GID: &st.Gid,
			Major: int64(unix.Major(uint64(st.Rdev))), Minor: int64(unix.Minor(uint64(st.Rdev))),
		})
		return nil
	})
	return devices, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func fileHas(path, word string) bool {
	data, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	for f := range strings.FieldsSeq(string(data)) {
		if f == word {
			return true
		}
	}
	return false
}

func fileSays(path, what string) bool {
	data, err := os.ReadFile(path)
	return err == nil && strings.HasPrefix(string(data), what)
}
