package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/moby/sys/userns"
	"github.com/opencontainers/cgroups"
	devices "github.com/opencontainers/cgroups/devices/config"
	"github.com/opencontainers/runc/libcontainer/configs"
	"golang.org/x/sys/unix"
)

// A plainTree is what a container sees of the kernel, at /proc, /dev and /sys, and
// of its pod, in single files.
//
// In an image any path may be a trap: a link that leads out of it. So libcontainer
// looks up each place of a mount step by step, opens it again and checks it, and
// for some thirty of them that was half the time of a start. But a place without a
// link on its way is none, as long as nobody else can write there; and nobody can
// before the first volume is mounted and the container runs. These are looked at
// once, and mounted by plain system calls, before libcontainer begins.
type plainTree struct {
	Root   string // of the container
	Mounts []plainMount
	Nodes  []deviceNode
	Links  [][2]string // what it says, and where it is
}

// A plainMount is a mount(2) at a path as the container sees it. A bind mount gets
// its flags, and what it passes on, by more of them.
type plainMount struct {
	From, At, Type, Data string
	Flags                uintptr
	Then                 []uintptr
}

// A deviceNode is a mknod(2).
type deviceNode struct {
	At       string
	Mode     uint32
	Device   int
	UID, GID uint32
}

// kernelDirs are where the kernel's file systems are, and what libcontainer calls
// them.
var kernelDirs = map[string]string{"/proc": "proc", "/dev": "tmpfs", "/sys": "sysfs"}

// takePlainTree takes out of config what init can do by itself, given the names of
// cgroup v1's hierarchies, and which places of the image are plain. It takes
// nothing, and returns nil, where libcontainer knows of more to be done: with a
// user namespace, with SELinux, with mounts that come back to the node, without a
// cgroup namespace; and where one of the kernel's directories is another's.
func takePlainTree(config *configs.Config, hierarchies []string, plain func(m *configs.Mount) bool) *plainTree {
	ns := config.Namespaces
	if !ns.Contains(configs.NEWNS) || !ns.Contains(configs.NEWCGROUP) || ns.Contains(configs.NEWUSER) ||
		config.MountLabel != "" || config.RootPropagation&unix.MS_SHARED != 0 {
		return nil
	}
	tree := &plainTree{Root: config.Rootfs}
	var rest []*configs.Mount
	dirs := 0
	for _, m := range config.Mounts {
		switch at := path.Clean(m.Destination); {
		case m.Device == kernelDirs[at]:
			if !plain(m) {
				return nil
			}
			dirs++
			tree.mount(m)
		case m.Device == "devpts" && at == "/dev/pts", m.Device == "mqueue" && at == "/dev/mqueue":
			tree.mount(m)
		case m.Device == "cgroup" && at == "/sys/fs/cgroup":
			tree.mountCgroup(m, hierarchies)
		case within("/proc", at), within("/sys", at):
			return nil
		case isPodFile(m) && !slices.ContainsFunc(rest, func(r *configs.Mount) bool { return within(path.Clean(r.Destination), at) }) && plain(m):
			tree.bind(m)
		default:
			rest = append(rest, m)
		}
	}
	for _, d := range config.Devices {
		if d.Path == "" || path.Clean(d.Path) == "/dev/ptmx" {
			continue // a rule without a node, and a link of libcontainer's
		}
		if !tree.node(d) {
			return nil
		}
	}
	if dirs != len(kernelDirs) {
		return nil
	}
	config.Mounts, config.Devices = rest, nil
	return tree
}

// isPodFile is for simple bind mounts of one file in /etc, and for /dev/shm.
func isPodFile(m *configs.Mount) bool {
	at := path.Clean(m.Destination)
	return m.Device == "bind" && m.IDMapping == nil && m.RecAttr == nil && m.Extensions == 0 && (path.Dir(at) == "/etc" || at == "/dev/shm")
}

func within(dir, at string) bool { return at == dir || strings.HasPrefix(at, dir+"/") }

func (t *plainTree) mount(m *configs.Mount) {
	t.Mounts = append(t.Mounts, plainMount{From: m.Source, At: m.Destination, Type: m.Device, Data: m.Data, Flags: uintptr(m.Flags)})
}

// bind does as libcontainer: flags that were asked for replace those that the
// source has.
func (t *plainTree) bind(m *configs.Mount) {
	b := plainMount{From: m.Source, At: m.Destination, Flags: uintptr(m.Flags)}
	for _, flag := range m.PropagationFlags {
		b.Then = append(b.Then, uintptr(flag))
	}
	if m.Flags&^(unix.MS_BIND|unix.MS_REC) != 0 || m.ClearedFlags != 0 {
		b.Then = append(b.Then, uintptr(m.Flags|unix.MS_BIND|unix.MS_REMOUNT))
	}
	t.Mounts = append(t.Mounts, b)
}

// mountCgroup mounts what the container's cgroup namespace shows: on v2 one
// hierarchy, on v1 one for each set of controllers, with links for those that
// are mounted together.
func (t *plainTree) mountCgroup(m *configs.Mount, hierarchies []string) {
	if hierarchies == nil {
		t.Mounts = append(t.Mounts, plainMount{From: m.Source, At: m.Destination, Type: "cgroup2", Data: m.Data, Flags: uintptr(m.Flags)})
		return
	}
	const flags = unix.MS_NOEXEC | unix.MS_NOSUID | unix.MS_NODEV
	t.Mounts = append(t.Mounts, plainMount{From: "tmpfs", At: m.Destination, Type: "tmpfs", Data: "mode=755", Flags: flags})
	for _, name := range hierarchies {
		h := plainMount{From: "cgroup", At: path.Join(m.Destination, name), Type: "cgroup", Data: name, Flags: flags | uintptr(m.Flags)&unix.MS_RDONLY}
		if name == "systemd" {
			h.From, h.Data = "systemd", "name=systemd"
		}
		t.Mounts = append(t.Mounts, h)
		if strings.Contains(name, ",") {
			for controller := range strings.SplitSeq(name, ",") {
				t.Links = append(t.Links, [2]string{name, path.Join(m.Destination, controller)})
			}
		}
	}
}

// node reports false for what does not belong in /dev, or in what others can write
// there.
func (t *plainTree) node(d *devices.Device) bool {
	kind := map[devices.Type]uint32{devices.BlockDevice: unix.S_IFBLK, devices.CharDevice: unix.S_IFCHR, devices.FifoDevice: unix.S_IFIFO}[d.Type]
	number, err := d.Mkdev()
	at := path.Clean(d.Path)
	if err != nil || kind == 0 || !within("/dev", at) || within("/dev/shm", at) {
		return false
	}
	t.Nodes = append(t.Nodes, deviceNode{at, kind | uint32(d.FileMode.Perm()), int(number), d.Uid, d.Gid})
	return true
}

// newPlainTree takes the tree of a container on this node out of its config.
func newPlainTree(config *configs.Config) (*plainTree, error) {
	if userns.RunningInUserNS() {
		return nil, nil
	}
	names, err := hierarchies()
	if err != nil {
		return nil, err
	}
	root, err := unix.Open(config.Rootfs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: config.Rootfs, Err: err}
	}
	defer unix.Close(root)
	return takePlainTree(config, names, func(m *configs.Mount) bool { return isPlain(root, m) }), nil
}

// isPlain reports whether the place of a mount is there, or can be made, without a
// link on its way: a directory, or for a bind mount in /etc a file.
func isPlain(root int, m *configs.Mount) bool {
	at := path.Clean(m.Destination)
	if at == "/dev/shm" {
		return true // in a tmpfs of ours
	}
	name := at[1:]
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_BENEATH}
	file := m.IsBind()
	var there, source unix.Stat_t
	if file && (unix.Stat(m.Source, &source) != nil || source.Mode&unix.S_IFMT != unix.S_IFREG) {
		return false // a volume in /etc, for which no file may be made
	}
	fd, err := unix.Openat2(root, name, &how)
	if err == unix.ENOENT && file {
		unix.Mkdirat(root, path.Dir(name), 0o755) // an image of one program has no /etc; a link there is refused below
		how.Flags, how.Mode = unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o644
		fd, err = unix.Openat2(root, name, &how)
	} else if err == unix.ENOENT {
		return unix.Mkdirat(root, name, 0o755) == nil
	}
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	if unix.Fstat(fd, &there) != nil {
		return false
	}
	if !file {
		return there.Mode&unix.S_IFMT == unix.S_IFDIR
	}
	return there.Mode&unix.S_IFMT == unix.S_IFREG
}

// hierarchies are the names of cgroup v1's, as they are mounted on the node; nil
// with v2.
var hierarchies = sync.OnceValues(func() (names []string, err error) {
	if cgroups.IsCgroup2UnifiedMode() {
		return nil, nil
	}
	mounts, err := cgroups.GetCgroupMounts(false)
	for _, m := range mounts {
		names = append(names, filepath.Base(m.Mountpoint))
	}
	return names, err
})

// plainTreeFile tells init of the tree. It is in the container's state directory.
const plainTreeFile = "plain.json"

// save may have nothing to tell.
func (t *plainTree) save(dir string) error {
	if t == nil {
		return nil
	}
	data, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, plainTreeFile), data, 0o600)
}

// makePlainTree is what init does before libcontainer, in the namespaces of the
// container.
func makePlainTree() error {
	if os.Getenv("_LIBCONTAINER_INITTYPE") != "standard" {
		return nil // it joins a container that has all
	}
	// The FIFO on which libcontainer waits is in the state directory.
	fifo, err := os.Readlink("/proc/self/fd/" + os.Getenv("_LIBCONTAINER_FIFOFD"))
	if err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(filepath.Dir(fifo), plainTreeFile))
	if errors.Is(err, fs.ErrNotExist) || err != nil && userns.RunningInUserNS() {
		return nil // nothing was taken
	}
	var tree plainTree
	if err == nil {
		err = json.Unmarshal(data, &tree)
	}
	if err == nil {
		err = tree.make()
	}
	return err
}

func (t *plainTree) make() error {
	defer unix.Umask(unix.Umask(0))
	// Nothing may come back to the node's mount namespace.
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return os.NewSyscallError("mount", err)
	}
	for _, m := range t.Mounts {
		if err := unix.Mkdir(t.Root+m.At, 0o755); err != nil && err != unix.EEXIST {
			return fmt.Errorf("mkdir %s: %w", m.At, err)
		}
		if err := unix.Mount(m.From, t.Root+m.At, m.Type, m.Flags, m.Data); err != nil {
			return fmt.Errorf("mount %s at %s: %w", m.From, m.At, err)
		}
		for _, flags := range m.Then {
			if err := unix.Mount("", t.Root+m.At, "", flags, ""); err != nil {
				return fmt.Errorf("change the mount of %s at %s: %w", m.From, m.At, err)
			}
		}
	}
	for _, n := range t.Nodes {
		if err := n.make(t.Root); err != nil {
			return fmt.Errorf("make the device %s: %w", n.At, err)
		}
	}
	for _, l := range t.Links {
		if err := unix.Symlink(l[0], t.Root+l[1]); err != nil {
			return fmt.Errorf("link %s: %w", l[1], err)
		}
	}
	return nil
}

// make binds the node's own device where it is not allowed to make one.
func (n deviceNode) make(root string) error {
	at := root + n.At
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	err := unix.Mknod(at, n.Mode, n.Device)
	if err == unix.EPERM {
		if err = os.WriteFile(at, nil, 0); err == nil {
			err = unix.Mount(n.At, at, "", unix.MS_BIND, "")
		}
		return err
	}
	if err == unix.EEXIST {
		return nil // listed twice
	}
	if err == nil && (n.UID != 0 || n.GID != 0) {
		err = unix.Chown(at, int(n.UID), int(n.GID))
	}
	return err
}

// fail ends init with an error for the caller of Start, in the words in which
// libcontainer's own init tells of one. Before the parent sends the config it looks at
// init's files, and would tell of nothing but that there is no such process.
func fail(err error) {
	if fd, err := strconv.Atoi(os.Getenv("_LIBCONTAINER_INITPIPE")); err == nil {
		config := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}} // or the parent's end
		for _, err := unix.Poll(config, -1); err == unix.EINTR; _, err = unix.Poll(config, -1) {
		}
	}
	type message struct {
		Message string `json:"message"`
	}
	data, _ := json.Marshal(struct { // of strings alone
		Type string  `json:"type"`
		Arg  message `json:"arg"`
	}{"procError", message{err.Error()}})
	if fd, err := strconv.Atoi(os.Getenv("_LIBCONTAINER_SYNCPIPE")); err == nil {
		unix.Write(fd, data)
	}
	os.Exit(1)
}
