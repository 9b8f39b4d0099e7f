// Command lab is what learners use: it starts the cluster of a step, shows and
// checks it, and takes it away again.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/k8s-groundup/groundup/tools/lab/box"
	"github.com/k8s-groundup/groundup/tools/lab/cli"
	"golang.org/x/sys/unix"
)

func main() {
	box.RunChild()
	ctx, stop := signal.NotifyContext(context.Background(), endings()...)
	defer stop()
	err := cli.New().ExecuteContext(ctx)
	var exit cli.ExitCode
	switch {
	case errors.As(err, &exit):
		os.Exit(int(exit))
	case err != nil:
		fmt.Fprintf(os.Stderr, "lab: %v\n", err)
		os.Exit(1)
	}
}

// endings are the signals by which we are asked to end, and clean up before that: from
// the keyboard, by kill, and by a terminal that closes, unless nohup has said that we
// outlive it.
func endings() []os.Signal {
	all := []os.Signal{os.Interrupt, unix.SIGTERM}
	if !signal.Ignored(unix.SIGHUP) {
		all = append(all, unix.SIGHUP)
	}
	return all
}
