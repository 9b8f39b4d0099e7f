package box

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A hierarchy is one mounted cgroup file system: the unified one of cgroup v2,
// or one of v1 with its controllers.
type hierarchy struct {
	fstype     string // cgroup or cgroup2
	mountpoint string
	options    []string // v1: the controllers, or name=systemd
}

// v1Options are the super block options of a v1 hierarchy that are not the name
// of a controller.
var v1Options = []string{"rw", "ro", "xattr", "clone_children", "noprefix", "release_agent", "cpuset_v2_mode"}

func hierarchies() ([]hierarchy, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	hs, err := parseHierarchies(f)
	if err != nil {
		return nil, err
	}
	if len(hs) == 0 {
		return nil, errors.New("no cgroup file system is mounted: mount one on /sys/fs/cgroup")
	}
	return hs, nil
}

// parseHierarchies reads the cgroup mounts from a mountinfo, proc_pid_mountinfo(5),
// outermost first.
func parseHierarchies(r io.Reader) ([]hierarchy, error) {
	var hs []hierarchy
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		before, after, found := strings.Cut(lines.Text(), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !found || len(left) < 6 || len(right) < 3 {
			return nil, fmt.Errorf("mountinfo: cannot read line %q", lines.Text())
		}
		h := hierarchy{fstype: right[0], mountpoint: left[4]}
		if h.fstype != "cgroup" && h.fstype != "cgroup2" {
			continue
		}
		if !strings.HasPrefix(h.mountpoint, "/sys/fs/cgroup") || slices.ContainsFunc(hs, func(o hierarchy) bool { return o.mountpoint == h.mountpoint }) {
			continue
		}
		if h.fstype == "cgroup" {
			for o := range strings.SplitSeq(right[2], ",") {
				if key, _, _ := strings.Cut(o, "="); !slices.Contains(v1Options, key) {
					h.options = append(h.options, o)
				}
			}
		}
		hs = append(hs, h)
	}
	sort.SliceStable(hs, func(i, j int) bool { return len(hs[i].mountpoint) < len(hs[j].mountpoint) })
	return hs, lines.Err()
}

func (h hierarchy) dir(cgroup string) string { return filepath.Join(h.mountpoint, cgroup) }

// leaf is where the box's first processes are to live. A cgroup of v2 has
// processes or children with controllers and never both, so the box's init
// moves itself out of the root (package initd), and what enters the box from
// outside goes to the leaf at once: it may come before init has moved.
func (h hierarchy) leaf(cgroup string) string {
	if h.fstype == "cgroup2" {
		return filepath.Join(h.dir(cgroup), "init")
	}
	return h.dir(cgroup)
}

// joinCgroups makes the box's cgroup in every hierarchy and moves the process
// into it.
func joinCgroups(cgroup string, pid int) error {
	hs, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range hs {
		dir := h.dir(cgroup)
		if err := os.MkdirAll(h.leaf(cgroup), 0o755); err != nil {
			return err
		}
		if err := h.delegate(cgroup); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
			return fmt.Errorf("join %s: %w", dir, err)
		}
	}
	return nil
}

// delegate lets the box use the controllers: in v2 every parent has to hand
// each controller down; a v1 cpuset starts empty and accepts no process before
// it has CPUs and memory nodes.
func (h hierarchy) delegate(cgroup string) error {
	if h.fstype == "cgroup" {
		if !slices.Contains(h.options, "cpuset") {
			return nil
		}
		for _, dir := range []string{filepath.Dir(h.dir(cgroup)), h.dir(cgroup)} {
			for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
				if err := inherit(dir, file); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for _, dir := range []string{h.mountpoint, filepath.Dir(h.dir(cgroup))} {
		controllers, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
		if err != nil {
			return err
		}
		for _, c := range strings.Fields(string(controllers)) {
			if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0); err != nil {
				return fmt.Errorf("hand controller %s down from %s: %w", c, dir, err)
			}
		}
	}
	return nil
}

// inherit copies a cpuset's file from the parent, unless it has a value.
func inherit(dir, file string) error {
	have, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil || strings.TrimSpace(string(have)) != "" {
		return err
	}
	value, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, file), value, 0)
}

// RemoveCgroups removes the box's cgroups and all below them, when the box has
// been killed; the kernel may need a moment to let go of the last process, so
// it is tried until the deadline. It succeeds when there are none.
func RemoveCgroups(cgroup string, deadline time.Time) error {
	hs, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range hs {
		if err := removeCgroup(h.dir(cgroup), deadline); err != nil {
			return err
		}
		// The common parent goes with the last box.
		err := unix.Rmdir(filepath.Dir(h.dir(cgroup)))
		if err != nil && !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("remove cgroup %s: %w", filepath.Dir(h.dir(cgroup)), err)
		}
	}
	return nil
}

// removeCgroup removes a cgroup after its children. Only directories are
// removed: the files are the kernel's.
func removeCgroup(dir string, deadline time.Time) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeCgroup(filepath.Join(dir, e.Name()), deadline); err != nil {
				return err
			}
		}
	}
	for {
		err := unix.Rmdir(dir)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
