package qemu

import (
	"net"
	"slices"
	"strings"
	"testing"
)

func base() Config {
	return Config{Name: "m", Kernel: "/k", Initrd: "/i", Mode: Command, Accel: TCG, Memory: 512, CPUs: 2}
}

func TestArgs(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   []string // each must be there, as one argument or several in a row
		no     []string // no argument may contain any of these
	}{
		{"a probe has neither disks nor network", func(c *Config) { c.Mode, c.Accel = Probe, KVM },
			[]string{"-machine q35,vmport=off -accel kvm -cpu host", "-smp 2 -m 512M"}, []string{"virtio-blk", "netdev"}},
		{"an emulated processor is a plain one", func(c *Config) {},
			[]string{"-machine q35,vmport=off -accel tcg,thread=single -cpu Nehalem"}, nil},
		{"the mode is for init", func(c *Config) { c.Mode = Systemd },
			[]string{"console=ttyS0 quiet loglevel=4 mitigations=off net.ifnames=0 panic=-1 groundup=systemd"}, nil},
		{"arguments are for the first program", func(c *Config) { c.Mode, c.Run = Image, []string{"sh", "-c", "echo a b"} },
			[]string{`panic=-1 groundup=image -- "sh" "-c" "echo a b"`}, nil},
		{"changes of disks are thrown away", func(c *Config) { c.Root, c.Disk = "/r.qcow2", "/d.img" },
			[]string{
				"-drive if=none,id=root,file=/r.qcow2,format=qcow2,snapshot=on,cache=unsafe -device virtio-blk-pci,drive=root",
				"-drive if=none,id=disk,file=/d.img,format=raw,snapshot=on,cache=unsafe -device virtio-blk-pci,drive=disk",
			}, nil},
		{"or kept, and then flushed", func(c *Config) { c.Root, c.Keep = "/r.qcow2", true },
			[]string{"-drive if=none,id=root,file=/r.qcow2,format=qcow2,cache=writeback -device virtio-blk-pci,drive=root"}, []string{"snapshot=on"}},
		{"commas in names are not separators", func(c *Config) { c.Root, c.Name = "/a,b/r", "x,y" },
			[]string{"-name x,,y", "if=none,id=root,file=/a,,b/r,format=qcow2,snapshot=on,cache=unsafe"}, nil},
		{"a cable stays on the loopback interface", func(c *Config) { c.Cable = &Cable{Port: 4242, MAC: "52:54:00:67:00:01"} },
			[]string{
				"-netdev socket,id=cable,mcast=230.0.0.1:4242,localaddr=127.0.0.1",
				"-device virtio-net-pci,netdev=cable,romfile=,mac=52:54:00:67:00:01",
			}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := base()
			c.change(&conf)
			args := conf.args(arches["amd64"])
			line := " " + strings.Join(args, " ") + " "
			for _, want := range c.want {
				if !strings.Contains(line, " "+want+" ") {
					t.Errorf("got %q, want %q in it", line, want)
				}
			}
			for _, no := range c.no {
				if slices.ContainsFunc(args, func(a string) bool { return strings.Contains(a, no) }) {
					t.Errorf("got %q, want no %q in it", line, no)
				}
			}
		})
	}
}

func TestArm64(t *testing.T) {
	for _, c := range []struct {
		accel Accel
		want  string
	}{
		{KVM, "-machine virt,gic-version=max -accel kvm -cpu host "},
		{TCG, "-machine virt,gic-version=max -accel tcg,thread=single -cpu cortex-a72 "},
	} {
		conf := base()
		conf.Accel = c.accel
		line := strings.Join(conf.args(arches["arm64"]), " ")
		if !strings.HasPrefix(line, c.want) || !strings.Contains(line, "-append console=ttyAMA0 ") || strings.Contains(line, "q35") {
			t.Errorf("%s: got %q, want %q and the console ttyAMA0", c.accel, line, c.want)
		}
	}
}

// The root disk must come first: the kernel counts virtio disks in their order.
func TestRootIsTheFirstDisk(t *testing.T) {
	conf := base()
	conf.Root, conf.Disk = "/r", "/d"
	args := conf.Args()
	if r, d := slices.Index(args, "virtio-blk-pci,drive=root"), slices.Index(args, "virtio-blk-pci,drive=disk"); r < 0 || d < r {
		t.Errorf("got root at %d and disk at %d, want root first", r, d)
	}
}

// With -no-reboot qemu ends in both cases; the reason is in its last event.
func TestLastEventTellsARebootFromAPowerOff(t *testing.T) {
	for _, c := range []struct {
		name, said string
		want       bool
	}{
		{"a reboot", `{"timestamp": {}, "event": "RTC_CHANGE"}` + "\n" + `{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}`, true},
		{"a power-off", `{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}`, false},
		{"a power cut says nothing", ``, false},
	} {
		ours, theirs := net.Pipe()
		go func() {
			theirs.Write([]byte(c.said))
			theirs.Close()
		}()
		if got := newMonitor(ours).rebooted(); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestAnswerHoldsForOneBootAndUser(t *testing.T) {
	file := t.TempDir() + "/accel.json"
	kept := answer{Boot: "b1", User: 0, Accel: TCG, Why: "no"}
	if err := kept.write(file); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		now  answer
		want bool
	}{
		{"the same boot and user", answer{Boot: "b1", User: 0}, true},
		{"after a reboot", answer{Boot: "b2", User: 0}, false},
		{"another user may not open the device", answer{Boot: "b1", User: 1000}, false},
	} {
		if _, got := recall(file, c.now); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}
