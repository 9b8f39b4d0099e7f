package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	rootDisk = "/dev/vda"
	newRoot  = "/root"
	// The way to us after the RAM disk has gone: /run goes along.
	keep = "/run/groundup-vm-init"
)

// enterRoot loads the modules, mounts the root disk and makes it the root, with
// /proc, /sys, /dev and /run mounted. This program's file is kept in /run.
func enterRoot() error {
	if err := loadModules("/modules"); err != nil {
		return err
	}
	if err := mount("devtmpfs", "devtmpfs", "/dev", 0, ""); err != nil {
		return err
	}
	if err := await(rootDisk, 10*time.Second); err != nil {
		return err
	}
	if err := mount(rootDisk, "ext4", newRoot, 0, ""); err != nil {
		return err
	}
	if err := mount("tmpfs", "tmpfs", newRoot+"/run", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return err
	}
	self, err := os.ReadFile("/init")
	if err != nil {
		return err
	}
	if err := os.WriteFile(newRoot+keep, self, 0o755); err != nil {
		return err
	}
	if err := mount("sysfs", "sysfs", newRoot+"/sys", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	for _, dir := range []string{"/dev", "/proc"} {
		if err := unix.Mount(dir, newRoot+dir, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s: %w", dir, err)
		}
	}
	return switchRoot()
}

// switchRoot does what switch_root(8) does: an initial RAM disk can't be
// unmounted or pivoted away from, so it is emptied and covered.
func switchRoot() error {
	for _, path := range []string{"/init", "/modules"} {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	if err := os.Chdir(newRoot); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the root disk to /: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("enter the root disk: %w", err)
	}
	return os.Chdir("/")
}

// loadModules inserts the files of a folder in the order of their names.
func loadModules(dir string) error {
	files, err := filepath.Glob(dir + "/*.ko")
	if err != nil {
		return err
	}
	slices.Sort(files)
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil && err != unix.EEXIST {
			return fmt.Errorf("load %s: %w", file, err)
		}
	}
	return nil
}

// await waits for a device: a bus is searched in the background.
func await(path string, limit time.Duration) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(time.Millisecond) {
		_, err := os.Stat(path)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no %s after %s: %w", path, limit, err)
		}
	}
}

// mount mounts a file system on a directory that it makes if need be.
func mount(source, fstype, dir string, flags uintptr, options string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, dir, fstype, flags, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", fstype, dir, err)
	}
	return nil
}
