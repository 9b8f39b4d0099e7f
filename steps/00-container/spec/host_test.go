package spec

import (
	"testing"

	"github.com/opencontainers/cgroups"
)

func TestBearsItsName(t *testing.T) {
	controllers := []string{"cpu", "cpuacct", "memory"}
	for _, c := range []struct {
		at   string
		has  []string
		want bool
	}{
		{"/sys/fs/cgroup/memory", []string{"memory"}, true},
		{"/sys/fs/cgroup/cpu,cpuacct", []string{"cpu", "cpuacct"}, true},
		{"/sys/fs/cgroup/cpuacct,cpu", []string{"cpu", "cpuacct"}, true},
		{"/sys/fs/cgroup/systemd", []string{"systemd"}, true},
		{"/sys/fs/cgroup/openrc", []string{"openrc"}, false}, // a hierarchy without a controller
		{"/sys/fs/cgroup/all", []string{"cpu", "memory"}, false},
		{"/sys/fs/cgroup/systemd", []string{"memory"}, false},
	} {
		if got := bearsItsName(cgroups.Mount{Mountpoint: c.at, Subsystems: c.has}, controllers); got != c.want {
			t.Errorf("%v at %s: got %v, want %v", c.has, c.at, got, c.want)
		}
	}
}
