package box

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	RunChild()
	os.Exit(m.Run())
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("making namespaces needs root: run `sudo go test`; CI does")
	}
}

// start boots a box whose init sleeps, and makes sure that it ends.
func start(t *testing.T) (cgroup string, pid int, root string) {
	t.Helper()
	needRoot(t)
	dir := t.TempDir()
	cgroup, root = fmt.Sprintf("groundup-test-%d/box", os.Getpid()), filepath.Join(dir, "root")
	pid, err := Start(Config{
		Name: "box", Cgroup: cgroup, Root: root, Init: []string{"sleep", "1000"}, Stdout: filepath.Join(dir, "console.log"),
		Binds: []Bind{{Source: dir, Target: "/opt/groundup/bin"}},
	}, func(pid int) error { // it waits for us, and is no box yet
		for end := time.Now().Add(20 * time.Second); !Booting(pid); <-time.After(time.Millisecond) {
			if time.Now().After(end) {
				return errors.New("a box that waits for its configuration is not booting")
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if Booting(pid) {
		t.Error("a box whose init runs is still booting")
	}
	t.Cleanup(func() {
		if err := errors.Join(Kill(pid, time.Now().Add(10*time.Second)), RemoveCgroups(cgroup, time.Now().Add(10*time.Second))); err != nil {
			t.Error(err)
		}
	})
	return cgroup, pid, root
}

func inside(t *testing.T, cgroup string, pid int, script string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := Run(cgroup, pid, cmd); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out.String())
	}
	return strings.TrimSpace(out.String())
}

func TestBoxIsAMachineOfItsOwn(t *testing.T) {
	cgroup, pid, _ := start(t)
	for _, c := range []struct{ property, script, want string }{
		{"its host name is its own", "hostname", "box"},
		{"its init is process 1", "cat /proc/1/comm", "sleep"},
		{"it sees no process of this machine", "ls -d /proc/[0-9]* | wc -l | grep -qE '^[1-9]$' && echo few", "few"},
		{"its cgroup looks like the root", "grep -c -v ':/$\\|:/init$' /proc/self/cgroup || :", "0"},
		{"it can make cgroups", "d=$(ls -d /sys/fs/cgroup/memory /sys/fs/cgroup 2>/dev/null | head -1); mkdir $d/x && rmdir $d/x && echo ok", "ok"},
		{"the programs of this machine are read-only", "touch /usr/x 2>/dev/null || echo refused", "refused"},
		{"its own directories are not", "touch /etc/x /var/lib/x /tmp/x /root/x && echo ok", "ok"},
		{"devices work", "echo hello > /dev/null && head -c 1 /dev/zero | wc -c", "1"},
		{"mounts are shared", "awk '$5 == \"/\" && /shared:/ {print \"shared\"}' /proc/self/mountinfo", "shared"},
		{"home directories stay private", "ls /home", ""},
	} {
		if got := inside(t, cgroup, pid, c.script); got != c.want {
			t.Errorf("%s: %s: got %q, want %q", c.property, c.script, got, c.want)
		}
	}
}

func TestKillIsAPowerCut(t *testing.T) {
	cgroup, pid, root := start(t)
	inside(t, cgroup, pid, "sleep 1001 >/dev/null 2>&1 & echo stays > /var/lib/file; mkdir /tmp/m; mount -t tmpfs x /tmp/m")
	before, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(before), root) {
		t.Errorf("a mount of the box is seen outside:\n%s", before)
	}
	if err := Kill(pid, time.Now().Add(10*time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, ok := StartTime(pid); ok {
		t.Error("init is still there")
	}
	if err := RemoveCgroups(cgroup, time.Now().Add(10*time.Second)); err != nil {
		t.Errorf("a process of the box lives on: %v", err)
	}
	if got, err := os.ReadFile(filepath.Join(root, "var/lib/file")); err != nil || string(got) != "stays\n" {
		t.Errorf("the disk did not survive: %q, %v", got, err)
	}
	if err := Kill(pid, time.Now().Add(time.Second)); err != nil {
		t.Errorf("a second kill: %v", err)
	}
}

func TestStartSaysWhatIsWrongAndLeavesNothing(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	conf := Config{Name: "nothing", Cgroup: "groundup-test-nothing/box", Root: filepath.Join(dir, "root"), Init: []string{"/no/such/init"}, Stdout: filepath.Join(dir, "log")}
	if _, err := Start(conf, func(int) error { return nil }); err == nil || !strings.Contains(err.Error(), "/no/such/init") {
		t.Errorf("got error %v, want one that names the init", err)
	}
	boom := errors.New("no cable")
	if _, err := Start(conf, func(int) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("got error %v, want %v", err, boom)
	}
	hs, err := hierarchies()
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range hs {
		if _, err := os.Stat(h.dir(conf.Cgroup)); err == nil {
			t.Errorf("%s is left", h.dir(conf.Cgroup))
		}
	}
}

func TestParseHierarchies(t *testing.T) {
	const v1 = `24 1 0:21 / /sys rw - sysfs sysfs rw
30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/lib/systemd/agent,name=systemd
33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw`
	const v2 = `30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate
40 24 0:26 / /other/place rw - cgroup2 cgroup2 rw`
	for _, c := range []struct {
		name, mountinfo, want string
	}{
		{"v1", v1, "cgroup /sys/fs/cgroup/systemd name=systemd;cgroup2 /sys/fs/cgroup/unified ;cgroup /sys/fs/cgroup/cpu,cpuacct cpu,cpuacct;"},
		{"v2", v2, "cgroup2 /sys/fs/cgroup ;"},
		{"none", "24 1 0:21 / /sys rw - sysfs sysfs rw", ""},
	} {
		hs, err := parseHierarchies(strings.NewReader(c.mountinfo))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got := ""
		for _, h := range hs {
			got += h.fstype + " " + h.mountpoint + " " + strings.Join(h.options, ",") + ";"
		}
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
	if _, err := parseHierarchies(strings.NewReader("nonsense")); err == nil {
		t.Error("nonsense was read without complaint")
	}
}

func TestStartTimeNamesALiveProcess(t *testing.T) {
	if _, ok := StartTime(os.Getpid()); !ok {
		t.Error("this process has no start time")
	}
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if _, ok := StartTime(cmd.Process.Pid); ok {
		t.Error("a process that ended has a start time")
	}
	if err := unix.Kill(cmd.Process.Pid, 0); err == nil {
		t.Skip("the process id was taken again at once")
	}
}
