// Package cli is the vm command: one file a command.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/k8s-groundup/groundup/vms/image"
	"github.com/k8s-groundup/groundup/vms/machine"
	"github.com/k8s-groundup/groundup/vms/qemu"
	"github.com/k8s-groundup/groundup/vms/repo"
)

// An ExitCode is the error of a command that has said all there is to say: the
// program ends with it in silence.
type ExitCode int

func (e ExitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// New returns the vm command with all that is under it.
func New() *cobra.Command {
	root := &cobra.Command{
		Use:   "vm",
		Short: "Run commands and tests in throw-away virtual machines",
		Long: `vm boots a stock Debian kernel (cgroup v2) in qemu, runs something in it as root,
and leaves nothing behind. It needs neither root nor hardware virtualization.

  vm image                      make what machines boot from (once, under a minute)
  vm run -- uname -a            run a command
  vm test ./steps/...           run the tests of packages
  vm shell --systemd            look around in a Debian with systemd
  vm boot DISK                  a container image as a machine, see lab bootable
  vm start, enter, cut, stop    machines that stay, for lab up --on qemu`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(imageCommand(), runCommand(), testCommand(), execCommand(), shellCommand(),
		startCommand(), enterCommand(), cutCommand(), stopCommand(), holdCommand(),
		diskCommand(), bootCommand(), exportCommand())
	return root
}

// options are the flags of every command that boots a machine.
type options struct {
	memory, cpus int
	systemd      bool
	accel        string
}

func (o *options) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVar(&o.memory, "memory", 2048, "`MiB` of memory of a machine")
	f.IntVar(&o.cpus, "cpus", 2, "`number` of processors of a machine")
	f.BoolVar(&o.systemd, "systemd", false, "boot Debian with systemd, not only a kernel and our init")
	f.StringVar(&o.accel, "accel", "", "`kvm` or tcg; without, what a probe boot finds")
}

// check refuses flags that make no sense, before anything is built or booted.
func (o *options) check() error {
	switch qemu.Accel(o.accel) {
	case "", qemu.KVM, qemu.TCG:
		return nil
	}
	return fmt.Errorf("--accel %s: want kvm or tcg", o.accel)
}

// prepare makes what is to be booted, and returns it as a config to complete.
func (o *options) prepare(ctx context.Context, r repo.Repo, log io.Writer) (machine.Config, error) {
	if err := o.check(); err != nil {
		return machine.Config{}, err
	}
	img, err := buildImage(ctx, r, log)
	if err != nil {
		return machine.Config{}, err
	}
	accel := qemu.Accel(o.accel)
	if accel == "" {
		if accel, _, err = qemu.Choose(ctx, img.Kernel, img.Initrd); err != nil {
			return machine.Config{}, err
		}
	}
	return machine.Config{Image: img, Accel: accel, Systemd: o.systemd, Memory: o.memory, CPUs: o.cpus}, nil
}

func buildImage(ctx context.Context, r repo.Repo, log io.Writer) (image.Image, error) {
	init, err := r.BuildInit()
	if err != nil {
		return image.Image{}, err
	}
	return image.Builder{Cache: r.Cache(), Init: init, Log: log}.Build(ctx)
}

func imageCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "image",
		Short: "Make what machines boot from, unless it is made, and say how they will run",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := repo.Find()
			if err != nil {
				return err
			}
			start := time.Now()
			img, err := buildImage(cmd.Context(), r, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			accel, why, err := qemu.Choose(cmd.Context(), img.Kernel, img.Initrd)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s (%s)\naccelerator %s: %s\n", img.Dir, time.Since(start).Round(100*time.Millisecond), accel, why)
			return nil
		},
	}
}

// tempDir makes a folder that the caller removes by remove.
func tempDir() (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp("", "groundup-vm-files-")
	return dir, func() { _ = os.RemoveAll(dir) }, err
}

// exit turns the code of a command into an error, unless it is zero.
func exit(code int, err error) error {
	if err == nil && code != 0 {
		return ExitCode(code)
	}
	return err
}

// isExit says whether an error is but an exit code.
func isExit(err error) bool {
	var code ExitCode
	return errors.As(err, &code)
}
