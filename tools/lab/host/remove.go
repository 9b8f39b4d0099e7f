package host

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/k8s-groundup/groundup/tools/lab/box"
	"golang.org/x/sys/unix"
)

// killTimeout bounds how long the kernel may take to end what was killed.
const killTimeout = 20 * time.Second

// Remove ends the node of this machine: services, pods, and whatever is left of
// them if their own removal fails half-way; then the claimed paths. home is the
// caller's. It succeeds when there is nothing.
func Remove(home string) error {
	if !Claimed(home) {
		return nil
	}
	if err := NewSupervisor(home).Stop(); err != nil {
		return err
	}
	// What follows takes away what reset leaves; when all goes well, nothing.
	reset := resetRuntime(home)
	deadline := time.Now().Add(killTimeout)
	if err := killAll(home, deadline); err != nil {
		return errors.Join(reset, err)
	}
	if err := unmountBelow(append([]string{home}, claims...)); err != nil {
		return errors.Join(reset, err)
	}
	for _, cgroup := range []string{"kubepods", "groundup"} {
		if err := box.RemoveCgroups(cgroup, deadline); err != nil {
			return errors.Join(reset, err)
		}
	}
	for _, path := range claims[1:] {
		if err := os.RemoveAll(path); err != nil {
			return errors.Join(reset, err)
		}
	}
	if reset != nil {
		return reset // the next try finds what it needs
	}
	_ = os.Remove(filepath.Dir("/var/lib/groundup/runtime")) // unless it is in use
	return os.Remove(Programs)
}

// resetRuntime removes every pod and the bridge.
func resetRuntime(home string) error {
	runtime := filepath.Join(home, "bin", "runtime")
	if _, err := os.Stat(runtime); errors.Is(err, os.ErrNotExist) {
		return nil // it never came so far
	}
	if out, err := exec.Command(runtime, "reset").CombinedOutput(); err != nil {
		return fmt.Errorf("runtime reset: %w\n%s", err, out)
	}
	return nil
}

// killAll kills the processes that run one of our programs and, since theirs is
// the image's program, those in a pod's cgroup.
func killAll(home string, deadline time.Time) error {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	bin := filepath.Join(home, "bin") + "/"
	for _, dir := range dirs {
		exe, _ := os.Readlink(filepath.Join(dir, "exe")) // gone, or of the kernel
		args, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		cgroup, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		if !strings.HasPrefix(exe, bin) && !isShim(exe, string(args), bin) && !inPod(string(cgroup)) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() {
			continue
		}
		if err := box.Kill(pid, deadline); err != nil {
			return err
		}
	}
	return nil
}

// isShim is for shims and reapers. They run from memory, and say of which binary that
// is a copy.
func isShim(exe, args, bin string) bool {
	return strings.HasPrefix(exe, "/memfd:runc_cloned:runtime-shim") &&
		(strings.HasPrefix(args, bin) || strings.HasPrefix(args, "reaper\x00"+bin))
}

// inPod reads a proc_pid_cgroup(5).
func inPod(cgroup string) bool {
	for line := range strings.Lines(cgroup) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) == 3 && (strings.HasPrefix(fields[2], "/kubepods/") || strings.HasPrefix(fields[2], "/groundup/pod")) {
			return true
		}
	}
	return false
}

// unmountBelow unmounts everything in these directories.
func unmountBelow(dirs []string) error {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	points, err := mountsBelow(bytes.NewReader(b), dirs)
	if err != nil {
		return err
	}
	for _, point := range points {
		if err := unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("unmount %s: %w", point, err)
		}
	}
	return nil
}

// mountsBelow returns the mount points of a proc_pid_mountinfo(5) below these
// directories, in the order to unmount them: the last one first.
func mountsBelow(r io.Reader, dirs []string) ([]string, error) {
	var points []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			return nil, fmt.Errorf("mountinfo: cannot read line %q", lines.Text())
		}
		point := unescape.Replace(fields[4])
		if slices.ContainsFunc(dirs, func(dir string) bool { return strings.HasPrefix(point, dir+"/") }) {
			points = append(points, point)
		}
	}
	slices.Reverse(points)
	return points, lines.Err()
}

// unescape undoes what the kernel does to white space.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
