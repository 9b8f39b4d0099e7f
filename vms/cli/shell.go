package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/k8s-groundup/groundup/vms/machine"
	"github.com/k8s-groundup/groundup/vms/repo"
	"github.com/k8s-groundup/groundup/vms/wire"
)

func shellCommand() *cobra.Command {
	var j job
	cmd := &cobra.Command{
		Use:   "shell [flags] [-- COMMAND…]",
		Short: "A root shell in a throw-away machine that has the repository and bin/",
		Example: `  vm shell --systemd
  vm shell --systemd -- sh -c 'bin/lab up 01 --no-build; exec bash'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			j.repo = true
			if len(args) == 0 {
				args = []string{"bash", "-l"}
			}
			return j.shell(cmd, args)
		},
	}
	j.options.register(cmd)
	return cmd
}

func (j *job) shell(cmd *cobra.Command, args []string) error {
	tty := int(os.Stdin.Fd())
	if !term.IsTerminal(tty) {
		return errors.New("a shell wants a terminal: `vm run --repo -- sh` reads from a pipe")
	}
	r, err := repo.Find()
	if err != nil {
		return err
	}
	conf, err := j.prepare(cmd.Context(), r, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	clean, err := j.ship(r, &conf)
	if err != nil {
		return err
	}
	defer clean()
	m, err := machine.Boot(cmd.Context(), conf)
	if err != nil {
		return err
	}
	defer m.Close()
	fmt.Fprintf(cmd.ErrOrStderr(), "vm: Linux %s, %s, %.0f times slower than this computer; nothing that you do here stays\n",
		m.Kernel(), conf.Accel, m.Factor())
	cols, rows, err := term.GetSize(tty)
	if err != nil {
		return err
	}
	before, err := term.MakeRaw(tty)
	if err != nil {
		return err
	}
	defer term.Restore(tty, before)
	return exit(m.Run(cmd.Context(), machine.Command{
		Args: args, Env: []string{"TERM=" + os.Getenv("TERM"), "GROUNDUP_REPO=" + r.Dir}, Dir: r.Dir,
		Stdin: os.Stdin, Stdout: os.Stdout, TTY: &wire.Size{Rows: uint16(rows), Cols: uint16(cols)},
	}))
}
