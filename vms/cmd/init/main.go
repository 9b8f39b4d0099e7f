// Command init is the first program of our virtual machines: the kernel unpacks
// it from the initial RAM disk and starts it as process 1.
//
// It loads the modules that reach the root disk, mounts it and moves there. Then
// either it stays process 1, starts the agent and buries orphans, which is fast;
// or it leaves a unit for the agent in /run and becomes systemd, which is what
// a real machine runs. The word after groundup= on the kernel's command line
// decides: command, systemd, image, which runs what a container image says, or
// probe, which only proves that the machine boots.
//
// The same program is the agent, and the machine's go command.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/vms/agent"
	"github.com/k8s-groundup/groundup/vms/qemu"
	"github.com/k8s-groundup/groundup/vms/wire"
)

func main() {
	switch {
	case os.Getpid() == 1:
		// Whatever happens, a machine that can't boot is switched off.
		fmt.Fprintf(os.Stderr, "init: %v\n", boot())
		powerOff()
	case filepath.Base(os.Args[0]) == "go":
		os.Exit(agent.Go(agent.Directory, os.Args[1:]))
	case len(os.Args) == 2 && os.Args[1] == "agent":
		if err := serve(); err != nil {
			fmt.Fprintf(os.Stderr, "agent: %v\n", err)
			os.Exit(1)
		}
	default:
		fmt.Fprintln(os.Stderr, "init: this is process 1 of a virtual machine, see vms/cmd/init")
		os.Exit(2)
	}
}

func boot() error {
	if err := mount("proc", "proc", "/proc", 0, ""); err != nil {
		return err
	}
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	switch mode := modeOf(string(cmdline)); mode {
	case qemu.Probe:
		fmt.Println(qemu.ProbeAnswer)
		return errors.New("this was a probe")
	case qemu.Command:
		if err := enterRoot(); err != nil {
			return err
		}
		return superviseAgent()
	case qemu.Systemd:
		if err := enterRoot(); err != nil {
			return err
		}
		return becomeSystemd()
	case qemu.Image:
		if err := enterRoot(); err != nil {
			return err
		}
		return runImage(os.Args[1:])
	default:
		return fmt.Errorf("groundup=%s on the kernel's command line: want command, systemd, image or probe", mode)
	}
}

func modeOf(cmdline string) qemu.Mode {
	for _, word := range strings.Fields(cmdline) {
		if mode, ok := strings.CutPrefix(word, "groundup="); ok {
			return qemu.Mode(mode)
		}
	}
	return ""
}

func serve() error {
	port, err := os.OpenFile(filepath.Join("/dev/virtio-ports", wire.Port), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		// Without udev nobody makes links by name: the port is the first one.
		port, err = os.OpenFile("/dev/vport0p1", os.O_RDWR, 0)
	}
	if err != nil {
		return err
	}
	defer port.Close()
	err = agent.New(wire.NewConn(port), agent.Directory, slog.Default()).Run(context.Background())
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func powerOff() {
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}
