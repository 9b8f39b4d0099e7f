package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/tools/images/toolbox/tool"
)

var mountFlags = map[string]uintptr{
	"ro": unix.MS_RDONLY, "nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV, "noexec": unix.MS_NOEXEC, "noatime": unix.MS_NOATIME,
	"remount": unix.MS_REMOUNT, "bind": unix.MS_BIND, "rbind": unix.MS_BIND | unix.MS_REC,
	"private": unix.MS_PRIVATE, "rprivate": unix.MS_PRIVATE | unix.MS_REC, "shared": unix.MS_SHARED, "rshared": unix.MS_SHARED | unix.MS_REC,
	"slave": unix.MS_SLAVE, "rslave": unix.MS_SLAVE | unix.MS_REC, "rw": 0, "defaults": 0,
}

// Mount is mount [-t TYPE] [-o OPTIONS] [--bind | --rbind | --make-…] [SOURCE] TARGET. Without
// arguments it prints what is mounted.
func Mount(args []string) error {
	if len(args) == 0 {
		raw, err := os.ReadFile("/proc/self/mounts")
		fmt.Fprintf(tool.Out, "%s", raw)
		return err
	}
	var short []string
	var flags uintptr
	for _, a := range args {
		if long, ok := strings.CutPrefix(a, "--"); ok {
			flag, known := mountFlags[strings.TrimPrefix(long, "make-")]
			if !known {
				return fmt.Errorf("unknown option %s", a)
			}
			flags |= flag
			continue
		}
		short = append(short, a)
	}
	o, rest, err := tool.Parse(short, "t:o:r")
	if err != nil {
		return err
	}
	if o.Has('r') {
		flags |= unix.MS_RDONLY
	}
	var data []string
	for option := range strings.SplitSeq(o['o'], ",") {
		if flag, known := mountFlags[option]; known {
			flags |= flag
		} else if option != "" {
			data = append(data, option)
		}
	}
	source, target := "none", ""
	switch len(rest) {
	case 1:
		target = rest[0]
	case 2:
		source, target = rest[0], rest[1]
	default:
		return errors.New("want a source and a target")
	}
	if err := unix.Mount(source, target, o['t'], flags, strings.Join(data, ",")); err != nil {
		return fmt.Errorf("%s on %s: %w", source, target, err)
	}
	return nil
}

// Umount is umount [-l] [-f] TARGET….
func Umount(args []string) error {
	o, names, err := tool.Parse(args, "lf")
	if err != nil {
		return err
	}
	flags := 0
	if o.Has('l') {
		flags |= unix.MNT_DETACH
	}
	if o.Has('f') {
		flags |= unix.MNT_FORCE
	}
	return each(names, func(n string) error {
		if err := unix.Unmount(n, flags); err != nil {
			return fmt.Errorf("%s: %w", n, err)
		}
		return nil
	})
}

// Df is df [-h] [NAME…].
func Df(args []string) error {
	o, names, err := tool.Parse(args, "hkTi")
	if err != nil {
		return err
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	fmt.Fprintf(tool.Out, "%-20s %10s %10s %10s %4s %s\n", "Filesystem", "Size", "Used", "Avail", "Use%", "Mounted on")
	if len(names) > 0 {
		return each(names, func(n string) error { return dfLine(o, "-", n) })
	}
	for line := range strings.Lines(string(mounts)) {
		words := strings.Fields(line)
		_ = dfLine(o, words[0], words[1]) // what can't be looked at has no line
	}
	return nil
}

func dfLine(o tool.Options, source, target string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(target, &st); err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	if st.Blocks == 0 {
		return nil
	}
	size, free, available := int64(st.Blocks)*st.Bsize, int64(st.Bfree)*st.Bsize, int64(st.Bavail)*st.Bsize
	used := size - free
	fmt.Fprintf(tool.Out, "%-20s %10s %10s %10s %3d%% %s\n", source, readable(o, size), readable(o, used), readable(o, available), 100*used/max(used+available, 1), target)
	return nil
}

// readable is in KiB, or with a unit when -h is given.
func readable(o tool.Options, n int64) string {
	if !o.Has('h') {
		return fmt.Sprint(n >> 10)
	}
	unit := 0
	f := float64(n)
	for f >= 1024 && unit < 4 {
		f, unit = f/1024, unit+1
	}
	return fmt.Sprintf("%.1f%c", f, "BKMGT"[unit])
}

// Du is du [-s] [-h] [NAME…]: the blocks that files take, hard links once.
func Du(args []string) error {
	o, names, err := tool.Parse(args, "shka")
	if err != nil {
		return err
	}
	if len(names) == 0 {
		names = []string{"."}
	}
	seen := map[uint64]bool{}
	return each(names, func(n string) error {
		total, err := du(o, n, seen, true)
		if o.Has('s') {
			fmt.Fprintf(tool.Out, "%s\t%s\n", readable(o, total), n)
		}
		return err
	})
}

func du(o tool.Options, name string, seen map[uint64]bool, top bool) (int64, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return 0, err
	}
	st := info.Sys().(*syscall.Stat_t)
	var total int64
	if !seen[st.Ino] {
		seen[st.Ino] = true
		total = st.Blocks * 512
	}
	var failed []error
	if info.IsDir() {
		entries, err := os.ReadDir(name)
		failed = append(failed, err)
		for _, e := range entries {
			n, err := du(o, filepath.Join(name, e.Name()), seen, false)
			if !errors.Is(err, fs.ErrNotExist) { // gone meanwhile
				failed = append(failed, err)
			}
			total += n
		}
	}
	if !o.Has('s') && (info.IsDir() || top || o.Has('a')) {
		fmt.Fprintf(tool.Out, "%s\t%s\n", readable(o, total), name)
	}
	return total, errors.Join(failed...)
}
