// Command agree-scheduler compares our scheduler with upstream's: `make agree-scheduler`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/tools/lab/schedagree"
)

func main() {
	var c schedagree.Config
	flag.StringVar(&c.APIServer, "server", "bin/agree/kube-apiserver", "`program` that both schedulers work at")
	flag.StringVar(&c.Ours, "ours", "bin/agree/kube-scheduler", "`program` that is ours")
	flag.StringVar(&c.Theirs, "theirs", "bin/upstream/kube-scheduler", "`program` that is upstream's")
	flag.IntVar(&c.Stories, "stories", 40, "how many stories")
	flag.IntVar(&c.Steps, "steps", 40, "how many steps a story has")
	flag.Uint64Var(&c.Seed, "seed", 1, "of the first story")
	flag.IntVar(&c.Workers, "workers", 8, "how many stories are told at a time")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	if err := run(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, "agree-scheduler:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c schedagree.Config) (err error) {
	for _, program := range []*string{&c.APIServer, &c.Ours, &c.Theirs} {
		if *program, err = filepath.Abs(*program); err != nil {
			return err
		}
	}
	found, told, err := schedagree.Run(ctx, c)
	if err != nil {
		return err
	}
	for _, d := range found {
		fmt.Printf("story %d, after step %d:\n", d.Story, len(d.Steps))
		for _, s := range d.Steps {
			fmt.Println("  ", s)
		}
		for _, l := range d.Lines {
			fmt.Println("  ", l)
		}
	}
	fmt.Printf("%d stories end with a difference that is meant: a pod that ours looks at again, and upstream leaves waiting\n", told.Meant)
	fmt.Printf("%d stories of %d steps, with %d pods bound, %d times told why not, and %d nominated: %d ended differently\n",
		c.Stories, told.Steps, told.Bound, told.Waited, told.Nominated, len(found))
	if len(found) > 0 {
		return errors.New("the schedulers do not agree")
	}
	return nil
}
