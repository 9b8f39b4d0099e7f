package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/k8s-groundup/groundup/vms/bootable"
	"github.com/k8s-groundup/groundup/vms/qemu"
	"github.com/k8s-groundup/groundup/vms/repo"
)

func diskCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "disk ROOT DISK",
		Short: "Make a disk of a root file system that lab bootable has flattened",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return bootable.MakeDisk(cmd.Context(), args[0], args[1])
		},
	}
}

func bootCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "boot DISK [-- ARGUMENT…]",
		Short: "Boot a disk of lab bootable: a container image as a machine",
		Long: `boot gives the disk a kernel and a first program, which runs what the image's
config says, on the serial console. Arguments replace the image's command, as they
do for runtime run. The machine powers off when the program has ended, and boot
ends with its exit code. What was written to the disk is thrown away.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.bootDisk(cmd, args[0], args[1:]) },
	}
	o.register(cmd)
	return cmd
}

func (o *options) bootDisk(cmd *cobra.Command, disk string, args []string) error {
	for _, arg := range args {
		if strings.Contains(arg, `"`) {
			return fmt.Errorf("argument %s: a kernel's command line cannot carry a double quote", arg)
		}
	}
	if _, err := os.Stat(disk); err != nil {
		return err
	}
	disk, err := filepath.Abs(disk)
	if err != nil {
		return err
	}
	r, err := repo.Find()
	if err != nil {
		return err
	}
	conf, err := o.prepare(cmd.Context(), r, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	console := &lastLine{w: cmd.OutOrStdout(), code: -1}
	p, err := qemu.Start(qemu.Config{
		Name: "groundup-" + filepath.Base(disk), Kernel: conf.Image.Kernel, Initrd: conf.Image.Initrd, Root: disk,
		Mode: qemu.Image, Run: args, Accel: conf.Accel, Memory: o.memory, CPUs: o.cpus,
	}, console)
	if err != nil {
		return err
	}
	defer p.Kill()
	select {
	case <-p.Done():
	case <-cmd.Context().Done():
		return context.Cause(cmd.Context())
	}
	if err := p.Err(); err != nil {
		return err
	}
	if console.code < 0 {
		return errors.New("the machine went off before the image's program had ended")
	}
	return exit(console.code, nil)
}

// lastLine passes a console on, line by line, but for what comes after the line
// that tells the exit code.
type lastLine struct {
	w    io.Writer
	rest []byte
	code int // that the line tells; -1 before it
}

func (l *lastLine) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok || l.code >= 0 {
			return len(b), nil
		}
		l.rest = rest
		text := strings.TrimRight(string(line), "\r")
		if code, ok := strings.CutPrefix(text, qemu.ExitMark); ok {
			n, err := strconv.Atoi(code)
			if err == nil {
				l.code = n
				continue
			}
		}
		if _, err := fmt.Fprintln(l.w, text); err != nil {
			return 0, err
		}
	}
}

func exportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "export NAME FILE.tar",
		Short: "Write the machines' root file system as a container image, for runtime import",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := repo.Find()
			if err != nil {
				return err
			}
			img, err := buildImage(cmd.Context(), r, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return exportImage(cmd.Context(), img.Root, args[0], args[1])
		},
	}
}

func exportImage(ctx context.Context, disk, name, file string) error {
	work, err := os.MkdirTemp(filepath.Dir(file), "export-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	layer, next := filepath.Join(work, "layer.tar"), filepath.Join(work, "image.tar")
	if err := bootable.Unpack(ctx, disk, layer); err != nil {
		return err
	}
	f, err := os.Create(next)
	if err != nil {
		return err
	}
	defer f.Close()
	conf := bootable.Config{Cmd: []string{"bash"}, Env: []string{"LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}}
	if err := bootable.WriteImage(f, name, layer, conf); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(next, file)
}
