package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// superviseAgent is the life of process 1 in command mode: it makes the rest of
// a machine, starts the agent, and waits for whoever ends. It returns, and the
// machine goes off, when the agent has ended.
func superviseAgent() error {
	if err := makeMachine(); err != nil {
		return err
	}
	pid, err := startAgent()
	if err != nil {
		return fmt.Errorf("start the agent: %w", err)
	}
	for {
		var status unix.WaitStatus
		ended, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("wait: %w", err)
		case ended == pid:
			return fmt.Errorf("the agent has ended with code %d", status.ExitStatus())
		}
	}
}

// makeMachine mounts what systemd would mount, and brings up what it would.
func makeMachine() error {
	const nosuid, noexec, nodev = unix.MS_NOSUID, unix.MS_NOEXEC, unix.MS_NODEV
	for _, m := range []struct {
		source, fstype, dir string
		flags               uintptr
		options             string
	}{
		{"devpts", "devpts", "/dev/pts", nosuid | noexec, "gid=5,mode=620,ptmxmode=666"},
		{"tmpfs", "tmpfs", "/dev/shm", nosuid | nodev, ""},
		{"mqueue", "mqueue", "/dev/mqueue", nosuid | noexec | nodev, ""},
		{"cgroup2", "cgroup2", "/sys/fs/cgroup", nosuid | noexec | nodev, "nsdelegate,memory_recursiveprot"},
		{"bpf", "bpf", "/sys/fs/bpf", nosuid | noexec | nodev, "mode=700"},
		{"securityfs", "securityfs", "/sys/kernel/security", nosuid | noexec | nodev, ""},
		{"tracefs", "tracefs", "/sys/kernel/tracing", nosuid | noexec | nodev, ""},
	} {
		if err := mount(m.source, m.fstype, m.dir, m.flags, m.options); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		if err := os.Symlink(target, filepath.Join("/dev", name)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	// As under systemd: what is mounted later shows up in every namespace.
	if err := unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("share mounts: %w", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	hostname, err := os.ReadFile("/etc/hostname")
	if err != nil {
		return err
	}
	return unix.Sethostname(hostname[:max(len(hostname)-1, 0)])
}

func startAgent() (pid int, err error) {
	p, err := os.StartProcess(keep, []string{"groundup-agent", "agent"}, &os.ProcAttr{
		Dir: "/root",
		Env: []string{
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/bash", "LANG=C.UTF-8", "TERM=linux",
		},
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Sys:   &unix.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, err
	}
	return p.Pid, nil
}

// unit starts the agent once the machine is up. Its commands get cgroups of
// their own to rule, as a container runtime does.
const unit = `[Unit]
Description=Run the commands of the host
After=basic.target dbus.service systemd-logind.service ssh.service

[Service]
ExecStart=` + keep + ` agent
Environment=HOME=/root USER=root LOGNAME=root SHELL=/bin/bash LANG=C.UTF-8 TERM=linux
WorkingDirectory=/root
Delegate=yes
OOMScoreAdjust=-500
LimitNOFILE=1048576
TasksMax=infinity
StandardOutput=journal+console
`

// becomeSystemd leaves the agent's unit in /run, which systemd keeps, and makes
// way. It returns only when there is no systemd.
func becomeSystemd() error {
	const units = "/run/systemd/system"
	wants := units + "/multi-user.target.wants"
	if err := os.MkdirAll(wants, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(units+"/groundup-agent.service", []byte(unit), 0o644); err != nil {
		return err
	}
	if err := os.Symlink("../groundup-agent.service", wants+"/groundup-agent.service"); err != nil {
		return err
	}
	err := unix.Exec("/sbin/init", []string{"/sbin/init"}, []string{"TERM=linux"})
	return fmt.Errorf("become systemd: %w", err)
}
