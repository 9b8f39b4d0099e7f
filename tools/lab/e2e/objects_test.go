package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/k8s-groundup/groundup/tools/lab/box"
	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/vishvananda/netlink"
)

// objects lists what the learner's cluster has made in the kernel, as it is now:
// mounts, cgroups and processes that bear its name, and all interfaces and nft
// tables of its network namespace.
func (l learner) objects() map[string]bool {
	l.Helper()
	t := l.T
	all := map[string]bool{}
	mounts, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if on := strings.Fields(line)[4]; strings.HasPrefix(on, l.home) {
			all["mount on "+on] = true
		}
	}
	parent := (&cluster.Cluster{Home: l.home}).CgroupParent()
	err = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(path, "/"+parent) {
			all["cgroup "+path] = true
		}
		return nil // cgroups of others come and go as we look
	})
	if err != nil {
		t.Fatal(err)
	}
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		all["interface "+l.Attrs().Name] = true
	}
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	tables, err := c.ListTables()
	if err != nil {
		t.Fatal(err)
	}
	for _, tab := range tables {
		all["nft table "+tab.Name] = true
	}
	groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(g)))
		if err != nil {
			t.Fatal(err)
		}
		// A killed node's init is a zombie until this machine's init asks for it.
		if _, alive := box.StartTime(pid); !alive {
			continue
		}
		if b, err := os.ReadFile(g); err == nil && strings.Contains(string(b), ":/"+parent+"/") {
			all[fmt.Sprintf("process %d", pid)] = true
		}
	}
	return all
}

func compare(t *testing.T, before, after map[string]bool) {
	t.Helper()
	for o := range after {
		if !before[o] {
			t.Errorf("left behind: %s", o)
		}
	}
	for o := range before {
		if !after[o] {
			t.Errorf("taken away, and not ours: %s", o)
		}
	}
}
