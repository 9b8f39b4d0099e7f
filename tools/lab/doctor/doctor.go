// Package doctor says whether this machine can run the labs, and for every
// thing that it lacks, the remedy.
package doctor

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/google/nftables"
	"github.com/k8s-groundup/groundup/tools/lab/fabric"
	"github.com/k8s-groundup/groundup/tools/lab/thread"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A Finding is one thing that was looked at.
type Finding struct {
	What   string `json:"what"`
	Found  string `json:"found"`            // what is there
	Remedy string `json:"remedy,omitempty"` // what to do; empty when all is well
	// Optional findings cost a feature and not the labs.
	Optional bool `json:"optional,omitempty"`
}

// Good says whether there is nothing to do.
func (f Finding) Good() bool { return f.Remedy == "" }

// Examine looks at this machine. home is where the cluster's state is to be;
// built says that the programs are there already, so that nothing is needed to
// build them.
// What needs root to be seen is left out for other users.
func Examine(home string, built bool) []Finding {
	all := []Finding{kernel(), cgroups(), overlayfs(), disk(home), stateFS(home), goTool(built), compiler(built), elevation()}
	if os.Geteuid() == 0 {
		all = append(all, namespaces(), network(), subnets(), resources())
	}
	return append(all, seccomp(), kvm())
}

func kernel() Finding {
	f := Finding{What: "Linux kernel"}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		f.Remedy = err.Error()
		return f
	}
	f.Found = unix.ByteSliceToString(u.Release[:]) + " " + runtime.GOARCH
	major, minor := version(f.Found)
	if major < 5 || major == 5 && minor < 12 {
		f.Remedy = "mount_setattr and idmapped mounts require Linux >= 5.12: use a newer distribution"
	}
	return f
}

// version reads the first two numbers of a kernel release.
func version(release string) (major, minor int) {
	parts := strings.SplitN(release, ".", 3)
	if len(parts) < 2 {
		return 0, 0
	}
	major, _ = strconv.Atoi(parts[0])
	minor, _ = strconv.Atoi(strings.TrimRight(parts[1], "-+abcdefghijklmnopqrstuvwxyz"))
	return major, minor
}

// controllers are the cgroup controllers that a kubelet cannot do without.
var controllers = []string{"cpu", "memory", "pids", "cpuset"}

func cgroups() Finding {
	f := Finding{What: "cgroups", Remedy: "mount a cgroup file system on /sys/fs/cgroup"}
	if b, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		f.Found = "v2: " + strings.TrimSpace(string(b))
		f.Remedy = missing(strings.Fields(string(b)))
		return f
	}
	var have []string
	for _, c := range append(controllers, "devices", "freezer") {
		if _, err := os.Stat(filepath.Join("/sys/fs/cgroup", c, "cgroup.procs")); err == nil {
			have = append(have, c)
		}
	}
	if len(have) > 0 {
		f.Found = "v1: " + strings.Join(have, " ")
		f.Remedy = missing(have)
	}
	return f
}

func missing(have []string) string {
	var lack []string
	for _, c := range controllers {
		if !strings.Contains(" "+strings.Join(have, " ")+" ", " "+c+" ") {
			lack = append(lack, c)
		}
	}
	if len(lack) == 0 {
		return ""
	}
	return "the kernel offers no " + strings.Join(lack, ", ") + " controller: see cgroup_enable= on the kernel's command line"
}

func overlayfs() Finding {
	f := Finding{What: "overlay file system"}
	b, err := os.ReadFile("/proc/filesystems")
	switch {
	case err != nil:
		f.Remedy = err.Error()
	case strings.Contains(string(b), "\toverlay\n"):
		f.Found = "in the kernel"
	case moduleExists("overlay"):
		f.Found = "a module that the first mount loads"
	default:
		f.Remedy = "modprobe overlay"
	}
	return f
}

// moduleExists says whether the running kernel has the module on disk.
func moduleExists(name string) bool {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return false
	}
	deps, err := os.ReadFile(filepath.Join("/lib/modules", unix.ByteSliceToString(u.Release[:]), "modules.dep"))
	return err == nil && strings.Contains(string(deps), "/"+name+".ko")
}

const gib = 1 << 30

func disk(home string) Finding {
	f := Finding{What: "free disk under " + home}
	var st unix.Statfs_t
	if err := unix.Statfs(existing(home), &st); err != nil {
		f.Remedy = err.Error()
		return f
	}
	free := st.Bavail * uint64(st.Bsize)
	f.Found = fmt.Sprintf("%.1f GiB", float64(free)/gib)
	if free < 2*gib {
		f.Remedy = "a cluster wants 2 GiB: free some, or set GROUNDUP_HOME to another disk"
	}
	return f
}

// existing is the nearest directory above path that is there.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || path == "/" {
			return path
		}
		path = filepath.Dir(path)
	}
}

func stateFS(home string) Finding {
	f := Finding{What: "file system under " + home, Found: "can hold an overlay's upper directory"}
	var st unix.Statfs_t
	if err := unix.Statfs(existing(home), &st); err != nil {
		f.Found, f.Remedy = "", err.Error()
	} else if name := notForUpper[int64(st.Type)]; name != "" {
		f.Found, f.Remedy = name, "an overlay's upper directory cannot be on "+name+": set GROUNDUP_HOME to a directory on ext4, xfs or btrfs"
	}
	return f
}

var notForUpper = map[int64]string{unix.OVERLAYFS_SUPER_MAGIC: "overlay", unix.NFS_SUPER_MAGIC: "nfs", unix.FUSE_SUPER_MAGIC: "fuse", unix.V9FS_MAGIC: "9p"}

func goTool(built bool) Finding {
	f := Finding{What: "Go", Optional: built}
	out, err := exec.Command("go", "env", "GOVERSION").Output()
	if err != nil {
		f.Remedy = "install Go 1.26 or later: https://go.dev/dl"
		return f
	}
	f.Found = strings.TrimSpace(string(out))
	return f
}

func compiler(built bool) Finding {
	f := Finding{What: "C compiler", Optional: built}
	path, err := exec.LookPath("gcc")
	if err != nil {
		f.Remedy = "make deps (or apt-get install gcc libc6-dev): the container init enters namespaces before Go starts"
		return f
	}
	f.Found = path
	return f
}

func elevation() Finding {
	f := Finding{What: "root", Found: "you are root"}
	if os.Geteuid() == 0 {
		return f
	}
	if path, err := exec.LookPath("sudo"); err == nil {
		f.Found = "by " + path
		return f
	}
	f.Found, f.Remedy = "", "install sudo, or run lab as root: namespaces and cgroups are the kernel's"
	return f
}

// inFreshNetwork runs work in a network namespace of its own, which ends with
// it.
func inFreshNetwork(work func() error) error {
	return thread.Run(func() error {
		ns, err := netns.New()
		if err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		defer ns.Close()
		return work()
	})
}

func namespaces() Finding {
	f := Finding{What: "namespaces", Found: "can be made"}
	cmd := exec.Command("true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWCGROUP}
	if err := cmd.Run(); err != nil {
		f.Found, f.Remedy = "", fmt.Sprintf("%v: this looks like a container without CAP_SYS_ADMIN; use a virtual machine", err)
	}
	return f
}

func network() Finding {
	f := Finding{What: "bridge, veth and nftables", Found: "can be made"}
	err := inFreshNetwork(func() error {
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "probe"}}); err != nil {
			return fmt.Errorf("bridge: %w: modprobe bridge", err)
		}
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "probe0"}, PeerName: "probe1"}); err != nil {
			return fmt.Errorf("veth: %w: modprobe veth", err)
		}
		c, err := nftables.New()
		if err != nil {
			return err
		}
		t := c.AddTable(&nftables.Table{Name: "probe", Family: nftables.TableFamilyIPv4})
		c.AddChain(&nftables.Chain{Name: "probe", Table: t, Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource})
		if err := c.Flush(); err != nil {
			return fmt.Errorf("nftables with nat: %w: modprobe nf_tables nft_chain_nat nft_masq", err)
		}
		return nil
	})
	if err != nil {
		f.Found, f.Remedy = "", err.Error()
	}
	return f
}

func subnets() Finding {
	f := Finding{What: "addresses for nodes and pods"}
	if _, err := net.InterfaceByName(fabric.Bridge); err == nil {
		f.Found = "a cluster has them"
		return f
	}
	plan, err := fabric.Choose()
	if err != nil {
		f.Remedy = err.Error()
		return f
	}
	f.Found = fmt.Sprintf("%s and %s are free", plan.Nodes, plan.Pods)
	return f
}

func resources() Finding {
	f := Finding{What: "CAP_SYS_RESOURCE", Found: "yes", Optional: true}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		f.Found, f.Remedy = "", err.Error()
	} else if data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) == 0 {
		f.Found, f.Remedy = "no", "none needed: oom_score_adj stays at or above ours, and file limits stay as they are"
	}
	return f
}

func seccomp() Finding {
	f := Finding{What: "libseccomp to build with", Optional: true}
	out, err := exec.Command("pkg-config", "--modversion", "libseccomp").Output()
	if err != nil {
		f.Remedy = "make deps (or apt-get install pkg-config libseccomp-dev): without it RuntimeDefault means Unconfined"
		return f
	}
	f.Found = strings.TrimSpace(string(out))
	return f
}

func kvm() Finding {
	f := Finding{What: "/dev/kvm", Optional: true}
	file, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
		f.Remedy = "none: virtual machines are emulated, and slower"
	case err != nil:
		f.Found, f.Remedy = "not for you", "add yourself to group kvm, if you want virtual machines"
	default:
		file.Close()
		f.Found = "there (whether it boots a kernel, only a boot can tell)"
	}
	return f
}
