// Command agree-api compares our API server with upstream's: `make agree-api`.
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

	"github.com/k8s-groundup/groundup/tools/lab/apiagree"
	"github.com/k8s-groundup/groundup/tools/lab/bench/controlplane"
)

func main() {
	var c apiagree.Config
	server := flag.String("server", "bin/kube-apiserver", "`program` that is ours")
	upstream := flag.String("upstream", "bin/upstream", "`folder` of upstream's programs")
	flag.StringVar(&c.Steps, "steps", "steps", "`folder` of the steps, which have objects to begin with")
	flag.IntVar(&c.Cases, "cases", 2000, "how many requests")
	flag.Uint64Var(&c.Seed, "seed", 1, "of chance")
	flag.StringVar(&c.Only, "only", "", "one `resource`")
	verbose := flag.Bool("v", false, "show a request of each kind, and both answers")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	if err := run(ctx, c, *server, *upstream, *verbose); err != nil {
		fmt.Fprintln(os.Stderr, "agree-api:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c apiagree.Config, program, folder string, verbose bool) (err error) {
	dir, err := os.MkdirTemp("", "agree-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if program, err = filepath.Abs(program); err != nil {
		return err
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return err
	}
	ours, err := controlplane.StartOurs(ctx, program, filepath.Join(dir, "ours"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.Stop()) }()
	theirs, err := controlplane.StartUpstream(ctx, folder, filepath.Join(dir, "theirs"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, theirs.Stop()) }()
	c.Ours, c.Theirs = ours.Config, theirs.Config
	documents, models, err := apiagree.Documents(ctx, c.Ours, c.Theirs)
	if err != nil {
		return err
	}
	for _, line := range documents {
		fmt.Println("OpenAPI:", line)
	}
	fmt.Printf("OpenAPI: %d models compared, with the operations: %d differences\n", models, len(documents))
	discovered, resources, missing, err := apiagree.Discovery(c.Ours, c.Theirs)
	if err != nil {
		return err
	}
	for _, line := range discovered {
		fmt.Println("discovery:", line)
	}
	fmt.Printf("discovery: %d resources compared: %d differences; %d verbs are not served here\n", resources, len(discovered), missing)
	changes := c
	changes.Cases = min(c.Cases/10, 1000)
	watched, events, err := apiagree.Watch(ctx, changes)
	if err != nil {
		return err
	}
	for _, line := range watched {
		fmt.Println("watch:", line)
	}
	fmt.Printf("watch: %d events of %d changes compared: %d differences\n", events, changes.Cases, len(watched))
	classes, meant, err := apiagree.Run(ctx, c)
	if err != nil {
		return err
	}
	different := 0
	for _, class := range classes {
		different += class.Count
		fmt.Printf("%5d %s\n", class.Count, class.Name)
		if verbose {
			fmt.Printf("  request %s\n  ours    %s\n  theirs  %s\n", class.Request, class.Ours, class.Theirs)
		}
	}
	for why, n := range meant {
		fmt.Printf("%5d are meant to differ: %s\n", n, why)
	}
	fmt.Printf("%d requests, %d answers differ, in %d ways\n", c.Cases, different, len(classes))
	if different+len(documents)+len(discovered)+len(watched) > 0 {
		return errors.New("the servers do not agree")
	}
	return nil
}
