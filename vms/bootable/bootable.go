// Package bootable goes between container images and machines, both ways.
//
// A container image is a file system, in layers, and a config that says what to
// run in it. Flattened into one directory, with the config beside, it lacks but a
// kernel, and a first program that makes of a kernel a machine: then it boots
// ([MakeDisk]). And a machine's root file system lacks but a config to be a
// container image ([WriteImage]).
package bootable

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// ConfigFile is where a disk has the config of the image that it was made from.
const ConfigFile = "/etc/groundup/image.json"

// A Config says what an image runs: the part of the OCI image config that a
// machine can follow. Volumes, ports and health checks are for others to know.
type Config struct {
	User       string   `json:"User,omitempty"`
	Env        []string `json:"Env,omitempty"`
	Entrypoint []string `json:"Entrypoint,omitempty"`
	Cmd        []string `json:"Cmd,omitempty"`
	WorkingDir string   `json:"WorkingDir,omitempty"`
}

// Argv is what to run, given arguments that replace Cmd when there are any.
func (c Config) Argv(args []string) ([]string, error) {
	if len(args) == 0 {
		args = c.Cmd
	}
	argv := append(append([]string{}, c.Entrypoint...), args...)
	if len(argv) == 0 {
		return nil, errors.New("the image has neither entrypoint nor command: say what to run")
	}
	return argv, nil
}

// ReadConfig reads the config below a root.
func ReadConfig(root string) (Config, error) {
	var c Config
	b, err := os.ReadFile(filepath.Join(root, ConfigFile))
	if err != nil {
		return c, fmt.Errorf("this root file system was not made by lab bootable: %w", err)
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("read %s: %w", ConfigFile, err)
	}
	return c, nil
}

// mountPoints are what the first program mounts on; images may lack them.
var mountPoints = []string{"dev", "proc", "run", "sys", "tmp"}

// MakeDisk writes a disk with the content of root, which it completes by what a
// machine needs: a host name, and places for the kernel's file systems. All files
// are read as who owns them, so it wants root's rights, of a user namespace or
// real. disk appears whole or not at all.
func MakeDisk(ctx context.Context, root, disk string) error {
	if _, err := ReadConfig(root); err != nil {
		return err
	}
	for _, dir := range mountPoints {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
	}
	hostname := filepath.Join(root, "etc/hostname")
	if _, err := os.Stat(hostname); errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(hostname, []byte("groundup\n"), 0o644); err != nil {
			return err
		}
	}
	raw, next := disk+".raw", disk+".new"
	defer os.Remove(raw)
	for _, argv := range [][]string{
		{"truncate", "-s", "8G", raw},
		{"/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=1", "-d", root, raw},
		{"qemu-img", "convert", "-O", "qcow2", raw, next},
	} {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return errors.Join(fmt.Errorf("%s: %w: %s (vms/deps.sh installs what it needs)", cmd, err, out), os.RemoveAll(next))
		}
	}
	return os.Rename(next, disk)
}
