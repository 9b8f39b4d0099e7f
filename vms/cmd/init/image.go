package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/vms/bootable"
	"github.com/k8s-groundup/groundup/vms/qemu"
)

// runImage makes the rest of a machine and runs what the config of the container
// image says, whose layers the root disk was made from; args, from the kernel's
// command line, replace the image's command. It returns when that has ended.
func runImage(args []string) error {
	if err := makeMachine(); err != nil {
		return err
	}
	conf, err := bootable.ReadConfig("/")
	if err != nil {
		return err
	}
	pid, err := startImage(conf, args)
	if err != nil {
		return err
	}
	for {
		var status unix.WaitStatus
		ended, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("wait: %w", err)
		case ended == pid && status.Signaled():
			return finish(128 + int(status.Signal()))
		case ended == pid:
			return finish(status.ExitStatus())
		}
	}
}

func finish(code int) error {
	fmt.Printf("%s%d\n", qemu.ExitMark, code)
	return errors.New("the image's program has ended")
}

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// startImage is what a container runtime does, without namespaces: the machine has
// its own of everything.
func startImage(conf bootable.Config, args []string) (pid int, err error) {
	argv, err := conf.Argv(args)
	if err != nil {
		return 0, err
	}
	env := append([]string{"HOME=/root", "TERM=linux"}, conf.Env...)
	if !slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, "PATH=") }) {
		env = append(env, defaultPath)
	}
	path, err := look(argv[0], env)
	if err != nil {
		return 0, err
	}
	who, err := credential(conf.User)
	if err != nil {
		return 0, err
	}
	dir := conf.WorkingDir
	if dir == "" {
		dir = "/"
	}
	return syscall.ForkExec(path, argv, &syscall.ProcAttr{
		Dir: dir, Env: env, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setsid: true, Credential: who},
	})
}

// look finds a program on the image's own PATH.
func look(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, v := range env {
		dirs, ok := strings.CutPrefix(v, "PATH=")
		for dir := range strings.SplitSeq(dirs, ":") {
			path := dir + "/" + name
			if info, err := os.Stat(path); ok && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("the image has no program %s on its PATH", name)
}

// credential is the user that a config names: USER or USER:GROUP, by name or number.
func credential(spec string) (*syscall.Credential, error) {
	if spec == "" {
		return &syscall.Credential{}, nil
	}
	name, group, _ := strings.Cut(spec, ":")
	if u, err := user.Lookup(name); err == nil {
		name = u.Uid
		if group == "" {
			group = u.Gid
		}
	}
	if g, err := user.LookupGroup(group); err == nil {
		group = g.Gid
	}
	if group == "" {
		group = "0"
	}
	uid, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s of the image: no such user", spec)
	}
	gid, err := strconv.ParseUint(group, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s of the image: no such group", spec)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
