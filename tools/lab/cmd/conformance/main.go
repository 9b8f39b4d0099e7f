// Command conformance runs specs of upstream's end-to-end suite, each named in a
// line of a list, against a cluster. It fails if one of them does.
//
//	conformance [flags] LIST
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/k8s-groundup/groundup/tools/lab/conformance"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	s := conformance.Suite{}
	flag.StringVar(&s.Binary, "suite", "bin/upstream/e2e.test", "upstream's test `binary` (make upstream)")
	flag.StringVar(&s.Kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "`file` of the cluster's administrator")
	flag.StringVar(&s.Kubectl, "kubectl", "bin/kubectl", "kubectl `binary`")
	flag.StringVar(&s.Logs, "logs", "bin/conformance-logs", "`folder` for what each spec said")
	flag.IntVar(&s.Parallel, "parallel", 6, "how `many` specs at once")
	flag.DurationVar(&s.Limit, "limit", 10*time.Minute, "after this `time` a spec that hangs is killed")
	bind := flag.Bool("bind", false, "bind pods that wait for a node to the first one: there is no scheduler yet")
	list := flag.Bool("passing", false, "print the names of those that pass, for a list, and nothing else to standard output")
	flag.Parse()
	if flag.NArg() != 1 {
		return fmt.Errorf("say which list of specs, such as steps/02-apiserver/conformance.txt")
	}
	for _, path := range []*string{&s.Binary, &s.Kubeconfig, &s.Kubectl, &s.Logs} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	specs, err := conformance.Read(flag.Arg(0))
	if err != nil {
		return err
	}
	if *bind {
		ctx, stop := context.WithCancel(ctx)
		bound := make(chan error, 1)
		go func() { bound <- conformance.Bind(ctx, s.Kubeconfig) }()
		defer func() {
			stop()
			err = errors.Join(err, <-bound)
		}()
	}
	failed := 0
	err = s.Run(ctx, specs, func(r conformance.Result) {
		if !r.Passed {
			failed++
		}
		if !*list {
			conformance.Print(os.Stdout, r)
			return
		}
		conformance.Print(os.Stderr, r)
		if r.Passed {
			fmt.Println(r.Spec)
		}
	})
	if err == nil && failed > 0 && !*list {
		err = fmt.Errorf("%d of %d specs failed", failed, len(specs))
	}
	if err == nil && !*list {
		fmt.Printf("\n%d of %d specs pass.\n", len(specs)-failed, len(specs))
	}
	return err
}
