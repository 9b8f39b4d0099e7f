// Package machine says what this machine is: its size, its addresses, and what
// its kernel can do.
package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Capacity returns the CPUs and the memory of the machine, and how many pods the
// configuration allows.
func Capacity(maxPods int32) (corev1.ResourceList, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return nil, fmt.Errorf("ask the kernel for the size of the memory: %w", err)
	}
	return corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewQuantity(int64(runtime.NumCPU()), resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(int64(info.Totalram)*int64(info.Unit), resource.BinarySI),
		corev1.ResourcePods:   *resource.NewQuantity(int64(maxPods), resource.DecimalSI),
	}, nil
}

// Allocatable returns the capacity less what is reserved for others than pods:
// systemReserved and kubeReserved of the configuration.
func Allocatable(capacity corev1.ResourceList, reserved ...map[string]string) (corev1.ResourceList, error) {
	left := capacity.DeepCopy()
	for _, list := range reserved {
		for name, text := range list {
			q, err := resource.ParseQuantity(text)
			if err != nil || q.Sign() < 0 {
				return nil, fmt.Errorf("reserved %s: %q is no quantity", name, text)
			}
			have, ok := left[corev1.ResourceName(name)]
			if !ok {
				continue // ephemeral-storage and pid are not handed out here
			}
			if have.Sub(q); have.Sign() < 0 {
				return nil, fmt.Errorf("reserved %s: the machine has less than %s", name, text)
			}
			left[corev1.ResourceName(name)] = have
		}
	}
	return left, nil
}

// Addresses returns an address at which other machines reach this one: that
// from which it would reach them, or else the first one of its interfaces.
func Addresses() ([]netip.Addr, error) {
	// Connecting a UDP socket sends nothing; it asks the routing table.
	if conn, err := net.Dial("udp4", "192.0.2.1:9"); err == nil {
		defer conn.Close()
		if local, err := netip.ParseAddrPort(conn.LocalAddr().String()); err == nil && !local.Addr().IsLoopback() {
			return []netip.Addr{local.Addr()}, nil
		}
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list the machine's addresses: %w", err)
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().IsGlobalUnicast() {
			return []netip.Addr{p.Addr()}, nil
		}
	}
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil // a machine alone
}

// Features are what some pods need of the kernel.
type Features struct {
	AppArmor          bool
	SELinux           bool
	SwapAccounting    bool // cgroup v2 with memory.swap.max
	RecursiveReadOnly bool // mount_setattr, since Linux 5.12
}

// Probe asks the kernel. Cgroup is one that exists, below the mount of cgroup v2.
func Probe(cgroup string) Features {
	apparmor, _ := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	_, selinux := os.Stat("/sys/fs/selinux/enforce")
	_, swap := os.Stat(filepath.Join("/sys/fs/cgroup", cgroup, "memory.swap.max"))
	return Features{
		AppArmor:          strings.HasPrefix(string(apparmor), "Y"),
		SELinux:           selinux == nil,
		SwapAccounting:    swap == nil,
		RecursiveReadOnly: hasMountSetattr(),
	}
}

// hasMountSetattr: a call that changes nothing is refused by kernels alone that
// do not know it.
func hasMountSetattr() bool {
	err := unix.MountSetattr(-1, "", unix.AT_EMPTY_PATH, &unix.MountAttr{})
	return !errors.Is(err, unix.ENOSYS)
}

// ResolvConf opens the node's resolv.conf; an empty name, or a file that is not
// there, reads as an empty one.
func ResolvConf(name string) (fs.File, error) {
	if name == "" {
		name = os.DevNull
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return os.Open(os.DevNull)
	}
	return f, err
}
