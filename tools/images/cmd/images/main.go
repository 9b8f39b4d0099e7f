// Command images builds the images that labs and tests run, and serves them.
//
//	images build -o DIR [NAME…]    write DIR/NAME.tar, an OCI layout, for each image
//	images component -o DIR BINARY…
//	                               the same for programs that are built already,
//	                               each in an image of its own
//	images conformance -o DIR --agnhost FILE
//	                               the same for equivalents of the images of
//	                               upstream's end-to-end suite
//	images list                    the names there are
//	images critest -o DIR          the same for equivalents of critest's images
//	images serve --listen ADDRESS [--mirrors FILE] DIR
//	                               a registry with the archives of DIR; FILE
//	                               becomes the mirrors.json that leads to it
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
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
		"build": func(ctx context.Context, args []string) error { return buildImages(ctx, "build", build.Labs(), args) },
		"critest": func(ctx context.Context, args []string) error {
			return buildImages(ctx, "critest", build.Critest(), args)
		},
		"component":   components,
		"conformance": conformance,
		"list":        listImages,
		"serve":       serve,
	}
	if len(args) == 0 || commands[args[0]] == nil {
		return fmt.Errorf("usage: images build|component|conformance|critest|list|serve")
	}
	return commands[args[0]](ctx, args[1:])
}

func listImages(context.Context, []string) error {
	for _, r := range append(build.Labs(), build.Critest()...) {
		fmt.Println(r.Name, strings.Join(r.Tags, " "))
	}
	return nil
}

func buildImages(ctx context.Context, name string, all []build.Recipe, args []string) error {
	flags := flag.NewFlagSet("images "+name, flag.ExitOnError)
	out := flags.String("o", "", "`DIR` for the archives")
	_ = flags.Parse(args) // exits
	if *out == "" {
		return fmt.Errorf("%s: say where with -o DIR", name)
	}
	recipes, err := choose(all, flags.Args())
	if err != nil {
		return err
	}
	return buildAll(ctx, *out, recipes)
}

func components(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("images component", flag.ExitOnError)
	out := flags.String("o", "", "`DIR` for the archives")
	_ = flags.Parse(args) // exits
	if *out == "" || flags.NArg() == 0 {
		return fmt.Errorf("component: say where with -o DIR, and which programs")
	}
	return (&build.Builder{Out: *out}).Components(ctx, flags.Args())
}

func conformance(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("images conformance", flag.ExitOnError)
	out := flags.String("o", "", "`DIR` for the archives")
	agnhost := flags.String("agnhost", "", "upstream's `program` agnhost")
	_ = flags.Parse(args) // exits
	if *out == "" {
		return fmt.Errorf("conformance: say where with -o DIR")
	}
	recipes, err := build.Conformance(*agnhost)
	if err != nil {
		return err
	}
	return buildAll(ctx, *out, recipes)
}

func serve(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("images serve", flag.ExitOnError)
	listen := flags.String("listen", "127.0.0.1:0", "`ADDRESS` to listen on")
	mirrors := flags.String("mirrors", "", "write the store's mirrors to `FILE`")
	_ = flags.Parse(args) // exits
	if flags.NArg() != 1 {
		return fmt.Errorf("serve: say which directory")
	}
	handler, err := build.NewRegistry(ctx, flags.Arg(0))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	if *mirrors != "" {
		raw, err := build.Mirrors(l.Addr().String())
		if err != nil {
			return err
		}
		if err := os.WriteFile(*mirrors, raw, 0o644); err != nil {
			return err
		}
	}
	return build.Serve(ctx, l, handler)
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
