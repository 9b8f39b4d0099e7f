// Command agree-kubelet compares our kubelet with upstream's: `make agree-kubelet`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/k8s-groundup/groundup/tools/lab/kubeletagree"
)

func main() {
	var c kubeletagree.Config
	kubeconfig := flag.String("kubeconfig", "", "`file` of the cluster's administrator")
	flag.StringVar(&c.Ours, "ours", "node-2", "`node` of our kubelet")
	flag.StringVar(&c.Theirs, "theirs", "node-3", "`node` of upstream's kubelet")
	flag.IntVar(&c.Stories, "stories", 60, "how many stories")
	flag.IntVar(&c.Steps, "steps", 4, "how many steps a story has at most")
	flag.Uint64Var(&c.Seed, "seed", 1, "of the first story")
	flag.IntVar(&c.Workers, "workers", 16, "how many stories are told at a time")
	trace := flag.Bool("v", false, "show what changes on each side, as it does")
	flag.Parse()
	if *trace {
		c.Trace = os.Stderr
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	if err := run(ctx, c, *kubeconfig); err != nil {
		fmt.Fprintln(os.Stderr, "agree-kubelet:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c kubeletagree.Config, kubeconfig string) (err error) {
	if c.API, err = clientcmd.BuildConfigFromFlags("", kubeconfig); err != nil {
		return err
	}
	found, told, err := kubeletagree.Run(ctx, c)
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
	for _, reason := range slices.Sorted(maps.Keys(told.Seen)) {
		fmt.Printf("%5d pods: %s\n", told.Seen[reason], reason)
	}
	fmt.Printf("%d stories of %d steps: %d ended differently\n", c.Stories, told.Steps, len(found))
	if len(found) > 0 {
		return errors.New("the kubelets do not agree")
	}
	return nil
}
