package box

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// programs are the directories of this machine that a box shows read-only: what
// was installed here, and nothing of what is personal. Where one is a symbolic
// link (/bin on a merged-/usr system), the box has the same link.
var programs = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix"}

// settings are the files and directories of /etc that programs need to find
// their libraries, users, certificates and terminals.
var settings = []string{
	"alternatives", "bash.bashrc", "ca-certificates", "group", "inputrc", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime",
	"nsswitch.conf", "passwd", "pki", "profile", "profile.d", "protocols", "services", "ssl", "static", "terminfo",
}

// own are the directories that belong to the box alone and survive its reboots.
var own = []string{"/etc", "/home", "/mnt", "/opt", "/root", "/srv", "/var/lib", "/var/log", "/var/cache", "/var/tmp"}

// A mount is one line of a machine's fstab.
type mount struct {
	fstype, target string
	flags          uintptr
	data           string
}

var kernelFileSystems = []mount{
	{"proc", "/proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"sysfs", "/sys", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"tmpfs", "/dev", unix.MS_NOSUID, "mode=755,size=1m"},
	{"devpts", "/dev/pts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620,gid=5"},
	{"tmpfs", "/dev/shm", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
	{"mqueue", "/dev/mqueue", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"tmpfs", "/run", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
	{"tmpfs", "/tmp", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
}

// mountRoot builds the box's root file system and makes it the root. Nothing
// that is mounted here is seen outside: the mount namespace is ours alone.
func mountRoot(c Config) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	hierarchies, err := hierarchies()
	if err != nil {
		return err
	}
	if err := unix.Mount(c.Root, c.Root, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", c.Root, err)
	}
	for _, dir := range own {
		if err := os.MkdirAll(filepath.Join(c.Root, dir), 0o755); err != nil {
			return err
		}
	}
	for _, dir := range programs {
		if err := show(dir, filepath.Join(c.Root, dir)); err != nil {
			return err
		}
	}
	for _, name := range settings {
		if err := show(filepath.Join("/etc", name), filepath.Join(c.Root, "etc", name)); err != nil {
			return err
		}
	}
	for _, b := range c.Binds {
		if err := show(b.Source, filepath.Join(c.Root, b.Target)); err != nil {
			return err
		}
	}
	for _, m := range kernelFileSystems {
		if err := m.mount(c.Root); err != nil {
			return err
		}
	}
	if err := makeDevices(c.Root); err != nil {
		return err
	}
	if err := mountCgroups(c.Root, hierarchies); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.Root, "etc/hostname"), []byte(c.Name+"\n"), 0o644); err != nil {
		return err
	}
	return pivot(c.Root)
}

func (m mount) mount(root string) error {
	target := filepath.Join(root, m.target)
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(m.fstype, target, m.fstype, m.flags, m.data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", m.fstype, m.target, err)
	}
	return nil
}

// show makes source appear at target: a link as the same link, a file or
// directory as a read-only bind mount, and what this machine does not have not
// at all.
func show(source, target string) error {
	info, err := os.Lstat(source)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		link, err := os.Readlink(source)
		if err != nil {
			return err
		}
		if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.Symlink(link, target)
	case info.IsDir():
		err = os.MkdirAll(target, 0o755)
	default:
		err = touch(target)
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("show %s: %w", source, err)
	}
	readOnly := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, target, unix.AT_RECURSIVE, &readOnly); err != nil {
		return fmt.Errorf("make %s read-only: %w (mount_setattr requires Linux >= 5.12)", source, err)
	}
	return nil
}

func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// devices are what a container runtime hands out by default, and what a node
// agent needs itself. Those that this machine lacks are left out.
var devices = []string{"null", "zero", "full", "random", "urandom", "tty", "kmsg", "fuse", "net/tun", "kvm", "loop-control"}

func makeDevices(root string) error {
	for _, name := range devices {
		var st unix.Stat_t
		if err := unix.Stat("/dev/"+name, &st); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return fmt.Errorf("device %s: %w", name, err)
		}
		path := filepath.Join(root, "dev", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := unix.Mknod(path, st.Mode, int(st.Rdev)); err != nil {
			return fmt.Errorf("make device %s: %w", name, err)
		}
		if err := os.Chmod(path, fs.FileMode(st.Mode&0o777)); err != nil { // mknod applies the umask
			return err
		}
	}
	for link, target := range map[string]string{
		"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	} {
		if err := os.Symlink(target, filepath.Join(root, "dev", link)); err != nil {
			return err
		}
	}
	return nil
}

// mountCgroups mounts the hierarchies of this machine where this machine has
// them. In a cgroup namespace each shows the box's own cgroup as its root.
func mountCgroups(root string, hs []hierarchy) error {
	if len(hs) == 0 || hs[0].mountpoint != "/sys/fs/cgroup" {
		if err := (mount{"tmpfs", "/sys/fs/cgroup", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "mode=755"}).mount(root); err != nil {
			return err
		}
	}
	for _, h := range hs {
		m := mount{h.fstype, h.mountpoint, unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, strings.Join(h.options, ",")}
		if err := m.mount(root); err != nil {
			return err
		}
	}
	return nil
}

// pivot makes dir the root and lets go of the old one. Mounts are shared from
// here on, as on a machine that systemd booted, so that mount propagation into
// and out of containers can be asked for.
func pivot(dir string) error {
	if err := unix.Chdir(dir); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("let go of the old root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "")
}
