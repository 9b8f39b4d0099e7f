// Command images builds the images that labs and tests run, and serves them.
//
//	images build -o DIR [NAME…]    write DIR/NAME.tar, an OCI layout, for each image
//	images list                    the names there are
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/k8s-groundup/groundup/tools/images/build"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	commands := map[string]func(context.Context, []string) error{
		"build": buildImages,
		"list":  listImages,
	}
	if len(args) == 0 || commands[args[0]] == nil {
		return fmt.Errorf("usage: images build|list")
	}
	return commands[args[0]](ctx, args[1:])
}

func listImages(context.Context, []string) error {
	for _, r := range build.Labs() {
		fmt.Println(r.Name, strings.Join(r.Tags, " "))
	}
	return nil
}

func buildImages(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("images build", flag.ExitOnError)
	out := flags.String("o", "", "`DIR` for the archives")
	_ = flags.Parse(args) // exits
	if *out == "" {
		return fmt.Errorf("build: say where with -o DIR")
	}
	recipes, err := choose(build.Labs(), flags.Args())
	if err != nil {
		return err
	}
	return buildAll(ctx, *out, recipes)
}

func choose(all []build.Recipe, names []string) ([]build.Recipe, error) {
	if len(names) == 0 {
		return all, nil
	}
	var chosen []build.Recipe
	for _, name := range names {
		i := slices.IndexFunc(all, func(r build.Recipe) bool { return r.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no image %q: see images list", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func buildAll(ctx context.Context, out string, recipes []build.Recipe) error {
	b := &build.Builder{Out: out, Cache: filepath.Join(out, ".programs")}
	if err := os.MkdirAll(b.Cache, 0o755); err != nil {
		return err
	}
	for _, r := range recipes {
		file, written, err := b.Write(ctx, r)
		if err != nil {
			return err
		}
		state := "up to date"
		if written {
			state = "written"
		}
		fmt.Printf("%s: %s %s\n", file, strings.Join(r.Tags, " "), state)
	}
	return nil
}
