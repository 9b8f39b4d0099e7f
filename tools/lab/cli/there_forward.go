package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/k8s-groundup/groundup/tools/lab/place"
	"github.com/spf13/cobra"
)

// thereToo makes a command run where the cluster is, when that is not here.
func thereToo(cmd *cobra.Command) *cobra.Command {
	here := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		t, err := openThere()
		if err != nil {
			return err
		}
		if t == nil {
			return here(cmd, args)
		}
		return t.forward(cmd, args, os.Args[1:])
	}
	return cmd
}

// hereOnly makes a command, and those below it, say that the cluster is elsewhere, when
// it is: they build, or read and write files of this computer.
func hereOnly(cmd *cobra.Command) *cobra.Command {
	for _, below := range cmd.Commands() {
		hereOnly(below)
	}
	here := cmd.RunE
	if here == nil {
		return cmd
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		t, err := openThere()
		if err != nil {
			return err
		}
		if t != nil {
			return fmt.Errorf("`%s` is for clusters on this machine itself, and this one runs on %s", cmd.CommandPath(), t.record.On)
		}
		return here(cmd, args)
	}
	return cmd
}

// forward runs a command line in the machine that it is about, or, if it is one of
// those that show everything, in all.
func (t *there) forward(cmd *cobra.Command, args, line []string) error {
	if cmd.Name() == "kubeconfig" {
		return t.kubeconfig(cmd.Context(), cmd.OutOrStdout())
	}
	first, last := t.machines(cmd, args, line)
	for n := first; n <= last; n++ {
		err := t.lab(cmd.Context(), n, line...)
		if cmd.Name() == "verify" {
			err = t.keepIfFailed(n, err)
		}
		if err != nil {
			return err
		}
	}
	if cmd.Name() == "renew" {
		return t.nodes(cmd.Context(), cmd.OutOrStdout(), 2) // new certificates come by an invitation
	}
	return nil
}

// machines are the first and the last of those that a command line is about. All
// but a few commands are about the cluster as a whole, which the first one knows.
func (t *there) machines(cmd *cobra.Command, args, line []string) (first, last int) {
	switch cmd.Name() {
	case "shell", "logs", "get", "status", "pods", "xray":
	default:
		return 1, 1
	}
	n, named := place.Machine(line, t.record.Nodes)
	switch {
	case named:
		return n, n
	case len(args) == 1 && (cmd.Name() == "pods" || cmd.Name() == "xray"):
		n = t.find(cmd.Context(), args[0])
		return n, n
	case cmd.Name() == "status" || cmd.Name() == "pods":
		return 1, t.record.Nodes
	}
	return 1, 1
}

// find returns the machine that runs a pod, the first one if none does: it will say so.
func (t *there) find(ctx context.Context, pod string) int {
	for n := 2; n <= t.record.Nodes; n++ {
		if _, err := t.ask(ctx, n, "pods", pod); err == nil {
			return n
		}
	}
	return 1
}
