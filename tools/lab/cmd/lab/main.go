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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
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
