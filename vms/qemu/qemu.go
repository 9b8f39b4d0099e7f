// Package qemu runs one virtual machine as a child process.
//
// The machine has a serial console, one serial port for the agent (package
// wire), disks whose changes are thrown away unless told otherwise, and, if wished, one network card
// on a cable that it shares with other machines of this host. None of it needs
// root, and none of it outlives the process: sockets are pairs without a name,
// and qemu's files for changes have been unlinked before the machine starts. When
// the process that started a machine ends in whatever way, the kernel kills the
// machine.
package qemu

import (
	"fmt"
	"os"
	"strings"
)

// A Mode is what the machine becomes, see vms/cmd/init.
type Mode string

const (
	Command Mode = "command" // our init, and the agent: ready in about two seconds
	Systemd Mode = "systemd" // Debian as it is, and the agent as a service
	Probe   Mode = "probe"   // only say so and power off
	Image   Mode = "image"   // run what the config of a container image says, and power off
)

// ProbeAnswer is what a machine in Probe mode prints on its console.
const ProbeAnswer = "groundup: this machine boots"

// ExitMark begins the last line on the console of a machine in Image mode; the exit
// code ends it.
const ExitMark = "groundup: exit code "

// A Config is what a machine is made of.
type Config struct {
	Name   string // in process lists
	Kernel string
	Initrd string
	Root   string   // qcow2, becomes /dev/vda; empty for a probe
	Keep   bool     // what is written to Root stays there
	Lock   *os.File // if not nil, the machine has it open as long as it lives
	Disk   string   // raw, becomes /dev/vdb; may be empty
	Mode   Mode
	Run    []string // Image mode: instead of the image's command
	Accel  Accel
	Memory int // MiB
	CPUs   int
	Cable  *Cable // nil: no network card
}

// A Cable is a network of the virtual machines of one host: an IP multicast group
// on the loopback interface is the wire.
type Cable struct {
	Port int    // UDP port: machines with the same one are connected
	MAC  string // of this machine's card, unique on the cable
}

// A file descriptor of the child: after stdin, stdout and stderr.
const (
	agentFD   = 3
	monitorFD = 4
)

// Args returns the arguments for [Program].
func (c Config) Args() []string { return c.args(here()) }

func (c Config) args(kind arch) []string {
	args := append(c.Accel.options(kind),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-name", escape(c.Name),
		"-smp", fmt.Sprint(c.CPUs), "-m", fmt.Sprintf("%dM", c.Memory),
		"-kernel", c.Kernel, "-initrd", c.Initrd, "-append", c.cmdline(kind),
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-chardev", fmt.Sprintf("socket,id=monitor,fd=%d", monitorFD), "-mon", "chardev=monitor,mode=control",
		"-device", "virtio-serial-pci",
		"-chardev", fmt.Sprintf("socket,id=agent,fd=%d", agentFD), "-device", "virtserialport,chardev=agent,name=groundup",
	)
	if c.Root != "" {
		args = append(args, drive("root", c.Root, "qcow2", c.Keep)...)
	}
	if c.Disk != "" {
		args = append(args, drive("disk", c.Disk, "raw", false)...)
	}
	if c.Cable != nil {
		args = append(args,
			"-netdev", fmt.Sprintf("socket,id=cable,mcast=230.0.0.1:%d,localaddr=127.0.0.1", c.Cable.Port),
			"-device", "virtio-net-pci,netdev=cable,romfile=,mac="+c.Cable.MAC)
	}
	return args
}

// drive is a disk. Its changes go into a file that has no name and are never
// flushed, since nobody reads them after the machine; or they are kept, and what
// the machine flushes survives a power cut.
func drive(id, file, format string, keep bool) []string {
	changes := "snapshot=on,cache=unsafe"
	if keep {
		changes = "cache=writeback"
	}
	return []string{
		"-drive", fmt.Sprintf("if=none,id=%s,file=%s,format=%s,%s", id, escape(file), format, changes),
		"-device", "virtio-blk-pci,drive=" + id,
	}
}

// cmdline is for the kernel. Nobody attacks this machine through its processor,
// and an emulated one pays dearly for mitigations; interfaces keep the names
// eth0, eth1; a panic ends the machine, because of -no-reboot.
func (c Config) cmdline(kind arch) string {
	verbosity := " quiet loglevel=4"
	if c.Keep {
		verbosity = " loglevel=6" // nobody waits for it, and its console is kept
	}
	line := "console=" + kind.console + verbosity + " mitigations=off net.ifnames=0 panic=-1 groundup=" + string(c.Mode)
	if len(c.Run) > 0 {
		// What follows the dashes is for the first program: bootparam(7).
		line += ` -- "` + strings.Join(c.Run, `" "`) + `"`
	}
	return line
}

// escape doubles commas, which separate qemu's options.
func escape(s string) string { return strings.ReplaceAll(s, ",", ",,") }
