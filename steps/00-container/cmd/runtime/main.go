// Runtime runs containers. It is a command for people — runtime run, ps, logs,
// exec — and, as "runtime serve", the daemon that a kubelet talks to. Both are
// the same code over the same files; no daemon is needed for the commands, and
// the ones may look after pods that the other has made.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() { os.Exit(Main()) }

// Main is the whole program, apart from its exit.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := newCommand().ExecuteContext(ctx)
	if exit := (exitError)(0); errors.As(err, &exit) {
		return int(exit)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "runtime:", message(err)+remedy(err, os.Geteuid()))
		return 1
	}
	return 0
}

// remedy is what to do about an error that comes of who we are.
func remedy(err error, uid int) string {
	if uid != 0 && errors.Is(err, fs.ErrPermission) {
		return ": containers are made by root; run it with sudo"
	}
	return ""
}

// An exitError passes on the exit code of a container's process.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func newCommand() *cobra.Command {
	a := &app{}
	root := &cobra.Command{
		Use:           "runtime",
		Short:         "Run containers, and serve the CRI",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	f := root.PersistentFlags()
	f.StringVar(&a.conf.Root, "root", "/var/lib/groundup/runtime", "`DIR` for images and containers")
	f.StringVar(&a.conf.State, "state", "/run/groundup", "`DIR` for sockets, mounts and namespaces")
	f.StringVar(&a.conf.ShimPath, "shim", "", "`PATH` of runtime-shim (default: beside this program, or in PATH)")
	f.StringVar(&a.conf.CgroupParent, "cgroup-parent", "/groundup", "`CGROUP` for pods that name none")
	f.BoolVarP(&a.verbose, "verbose", "V", false, "log what is done")
	root.AddGroup(
		&cobra.Group{ID: "container", Title: "Containers:"},
		&cobra.Group{ID: "image", Title: "Images:"},
		&cobra.Group{ID: "node", Title: "The node:"},
	)
	for group, commands := range map[string][]*cobra.Command{
		"container": {a.run(), a.ps(), a.exec(), a.logs(), a.attach(), a.stop(), a.rm(), a.inspect(), a.spec(), a.stats()},
		"image":     {a.pull(), a.images(), a.importImages(), a.export(), a.rmi()},
		"node":      {a.serve(), a.cri(), a.gc(), a.reset()},
	} {
		for _, c := range commands {
			c.GroupID = group
			sayUsage(c)
			root.AddCommand(c)
		}
	}
	return root
}

// sayUsage makes a command say how it is used when its arguments are wrong; cobra's own
// error is a number.
func sayUsage(c *cobra.Command) {
	check := c.Args
	if check == nil {
		return
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return fmt.Errorf("%w\nusage: %s", err, c.UseLine())
		}
		return nil
	}
}
