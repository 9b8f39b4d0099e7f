package host

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/k8s-groundup/groundup/tools/lab/initd"
	"github.com/vishvananda/netlink"
)

func TestUnit(t *testing.T) {
	text := unit(initd.Service{Name: "kubelet", Argv: []string{"/opt/groundup/bin/kubelet", `--x=50% "$HOME"`}, Version: "abc"})
	for _, want := range []string{
		mark + "# Version abc\n",
		`ExecStart="/opt/groundup/bin/kubelet" "--x=50%% \"$$HOME\""` + "\n",
		"\nRestart=always\n", "\nKillMode=process\n", "append:/var/log/kubelet.log\n", "\nWantedBy=multi-user.target\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("got\n%s\nwant %q in it", text, want)
		}
	}
}

func TestOnlyOurUnitsAreFound(t *testing.T) {
	d := Systemd{Dir: t.TempDir()}
	for name, text := range map[string]string{"kubelet": unit(initd.Service{Name: "kubelet"}), "sshd": "[Unit]\n"} {
		if err := os.WriteFile(d.path(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/nowhere", d.path("dangling")); err != nil {
		t.Fatal(err)
	}
	units, err := d.units()
	if err != nil || len(units) != 1 || units["kubelet"] == "" {
		t.Errorf("got %v, %v, want the kubelet's alone", units, err)
	}
	if err := d.Apply([]initd.Service{{Name: "kubelet"}, {Name: "sshd"}}); err == nil || !strings.Contains(err.Error(), "not ours") {
		t.Errorf("a unit of somebody else: got %v, want a refusal", err)
	}
}

func TestStatus(t *testing.T) {
	for _, c := range []struct {
		name, shown string
		want        initd.Status
	}{
		{"it runs, and was killed before", "MainPID=7\nNRestarts=2\nExecMainStartTimestamp=@100\nExecMainExitTimestamp=@90\nExecMainCode=2\nExecMainStatus=9\n",
			initd.Status{Name: "k", PID: 7, Restarts: 2, Failures: 2, Since: time.Unix(100, 0), Last: "signal 9"}},
		{"it has failed", "MainPID=0\nNRestarts=5\nExecMainStartTimestamp=@100\nExecMainExitTimestamp=@101\nExecMainCode=1\nExecMainStatus=3\n",
			initd.Status{Name: "k", Restarts: 5, Failures: 5, Since: time.Unix(101, 0), Last: "exit code 3"}},
		{"it runs for the first time", "MainPID=7\nNRestarts=0\nExecMainStartTimestamp=@100\nExecMainExitTimestamp=\nExecMainCode=0\nExecMainStatus=0\n",
			initd.Status{Name: "k", PID: 7, Since: time.Unix(100, 0)}},
	} {
		if got := status("k", c.shown); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestAddressIsTheOneWithTheDefaultRoute(t *testing.T) {
	addr := func(link int, ip string) netlink.Addr {
		return netlink.Addr{LinkIndex: link, IPNet: &net.IPNet{IP: net.ParseIP(ip)}}
	}
	lo, first, second := addr(1, "127.0.0.1"), addr(2, "10.0.0.1"), addr(3, "10.0.0.2")
	for _, c := range []struct {
		name   string
		routes []netlink.Route
		addrs  []netlink.Addr
		want   string
	}{
		{"the default route decides", []netlink.Route{{LinkIndex: 3}}, []netlink.Addr{lo, first, second}, "10.0.0.2"},
		{"without one, the only address", nil, []netlink.Addr{lo, first}, "10.0.0.1"},
		{"of two nobody knows", nil, []netlink.Addr{lo, first, second}, "<nil>"},
		{"loopback is not reached by others", nil, []netlink.Addr{lo}, "<nil>"},
	} {
		if got := choose(c.routes, c.addrs).String(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestPodsAreKnownByTheirCgroup(t *testing.T) {
	for cgroup, want := range map[string]bool{
		"0::/kubepods/burstable/pod1/c\n":               true,
		"5:memory:/kubepods/pod1\n4:cpu:/\n":            true,
		"0::/groundup/pod1/c\n":                         true,
		"0::/groundup/node-1/kubepods/pod1\n":           false, // a box's
		"0::/system.slice/kubepods-agent.service\n":     false,
		"0::/user.slice/user-0.slice/session-1.scope\n": false,
		"": false,
	} {
		if got := inPod(cgroup); got != want {
			t.Errorf("%q: got %v, want %v", cgroup, got, want)
		}
	}
}

func TestMountsBelowComeLastFirst(t *testing.T) {
	const info = `1 0 8:1 / / rw - ext4 /dev/vda rw
2 1 0:1 / /run rw - tmpfs t rw
3 2 0:2 / /run/groundup/a rw - tmpfs t rw
4 3 0:3 / /run/groundup/a/b\040c rw - tmpfs t rw
5 1 0:4 / /run/groundup2 rw - tmpfs t rw
`
	got, err := mountsBelow(strings.NewReader(info), []string{"/run/groundup"})
	if want := []string{"/run/groundup/a/b c", "/run/groundup/a"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestInitKnowsItsOwnProcess(t *testing.T) {
	i := Init{Home: t.TempDir()}
	if i.Running() {
		t.Error("got running, want nothing: it was never started")
	}
	if err := os.WriteFile(filepath.Join(i.Home, "supervisor.json"), []byte(`{"PID":1,"Start":"another boot"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if i.Running() {
		t.Error("got running, want not: the process id has another owner now")
	}
}

func TestShimsAreKnownByTheBinaryTheyAreACopyOf(t *testing.T) {
	const bin, copied = "/var/lib/groundup/bin/", "/memfd:runc_cloned:runtime-shim (deleted)"
	for _, test := range []struct {
		exe, args string
		want      bool
	}{
		{copied, bin + "runtime-shim\x00pod\x00/run/p", true},
		{copied, "reaper\x00" + bin + "runtime-shim\x00/run/p", true},
		{copied, "/elsewhere/runtime-shim\x00pod\x00/run/p", false},
		{"/usr/bin/vim", bin + "runtime-shim\x00", false},
	} {
		if got := isShim(test.exe, test.args, bin); got != test.want {
			t.Errorf("%s, %q: got %t", test.exe, test.args, got)
		}
	}
}
