package cli

import (
	"os"
	"os/exec"

	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/spf13/cobra"
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

func shell(node cluster.Node, argv []string) error {
	inside := exec.Command("sh", "-c", "command -v bash >/dev/null && exec bash || exec sh")
	inside.Env = []string{"PS1=" + node.Name + `:\w# `}
	if len(argv) > 0 {
		inside = exec.Command(argv[0], argv[1:]...)
	}
	inside.Env = append(boxEnviron(), inside.Env...)
	inside.Stdin, inside.Stdout, inside.Stderr = os.Stdin, os.Stdout, os.Stderr
	return exitOf(node.Run(inside))
}
