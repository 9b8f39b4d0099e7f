package cli

import (
	"context"
	"os"
	"os/exec"
	"os/signal"

	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func shellCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "shell [NODE] [-- COMMAND…]",
		ValidArgsFunction: completeNodes,
		Short:             "A root shell in a node, or one command there",
		Example: `  lab shell
  lab shell node-2 -- runtime ps`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := asRoot("entering a node"); err != nil {
				return err
			}
			name, argv := "", args
			if dash := cmd.ArgsLenAtDash(); dash != 0 && len(args) > 0 {
				name, argv = args[0], args[1:]
			}
			node, err := pick(open(), name)
			if err != nil {
				return err
			}
			return shell(node, argv)
		},
	}
}

// shell runs a shell or a command in a node. It gets Ctrl-C from the terminal as we do,
// and decides what becomes of it; who ends us in another way ends it.
func shell(node cluster.Node, argv []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGHUP)
	defer stop()
	inside := exec.CommandContext(ctx, "sh", "-c", "command -v bash >/dev/null && exec bash || exec sh")
	inside.Env = []string{"PS1=" + node.Name + `:\w# `}
	end := unix.SIGHUP // a shell that has a terminal is deaf to SIGTERM
	if len(argv) > 0 {
		inside = exec.CommandContext(ctx, argv[0], argv[1:]...)
		end = unix.SIGTERM
	}
	inside.Cancel = func() error { return inside.Process.Signal(end) }
	inside.Env = append(boxEnviron(), inside.Env...)
	inside.Stdin, inside.Stdout, inside.Stderr = os.Stdin, os.Stdout, os.Stderr
	return exitOf(node.Run(inside))
}
