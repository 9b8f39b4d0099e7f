package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
)

// objects lists what a cluster makes in the kernel, as it is now: mounts,
// cgroups, interfaces, nft tables, and processes in our cgroups.
func objects(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	mounts, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		all["mount on "+strings.Fields(line)[4]] = true
	}
	err = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(path, "/groundup") && !strings.Contains(path, "/groundup-test") {
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
		if b, err := os.ReadFile(g); err == nil && strings.Contains(string(b), ":/groundup") && !strings.Contains(string(b), ":/groundup-test") {
			all["process "+filepath.Base(filepath.Dir(g))] = true
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
