package agent

import (
	"fmt"
	"os"
	"os/exec"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/vms/pace"
	"github.com/k8s-groundup/groundup/vms/wire"
)

// setup makes the machine what the host says. All of it may be done again.
func setup(s wire.Setup) *wire.Ready {
	ready := &wire.Ready{Nonce: s.Nonce, Kernel: kernel(), Pace: pace.Measure()}
	if err := apply(s); err != nil {
		ready.Error = err.Error()
	}
	return ready
}

func apply(s wire.Setup) error {
	now := unix.NsecToTimeval(s.Time.UnixNano())
	if err := unix.Settimeofday(&now); err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	if s.Hostname != "" {
		if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
			return fmt.Errorf("set the host name: %w", err)
		}
	}
	if s.Path != "" {
		os.Setenv("PATH", s.Path+":"+defaultPath)
	}
	if s.Mount != "" {
		if err := mountDisk("/dev/vdb", s.Mount); err != nil {
			return err
		}
	}
	if s.Address != "" {
		return address("eth0", s.Address)
	}
	return nil
}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// mountDisk mounts the disk that the host has shipped, unless it is mounted.
func mountDisk(disk, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	err := unix.Mount(disk, dir, "ext4", 0, "")
	if err != nil && err != unix.EBUSY {
		return fmt.Errorf("mount %s on %s: %w", disk, dir, err)
	}
	return nil
}

// address brings an interface up with an address, like `ip address replace`.
func address(name, prefix string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		// Under our own init there is no udev that would have loaded it.
		if out, err := exec.Command("modprobe", "virtio_net").CombinedOutput(); err != nil {
			return fmt.Errorf("modprobe virtio_net: %w: %s", err, out)
		}
		if link, err = netlink.LinkByName(name); err != nil {
			return fmt.Errorf("find %s: %w", name, err)
		}
	}
	addr, err := netlink.ParseAddr(prefix)
	if err != nil {
		return err
	}
	if err := netlink.AddrReplace(link, addr); err != nil {
		return fmt.Errorf("address %s on %s: %w", prefix, name, err)
	}
	return netlink.LinkSetUp(link)
}
