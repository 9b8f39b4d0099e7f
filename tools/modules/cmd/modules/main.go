// Command modules verifies the require and replace lines between the modules of
// the repository, and with -w writes them.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/k8s-groundup/groundup/tools/modules/workspace"
)

func main() {
	write := flag.Bool("w", false, "write the lines instead of verifying them")
	repo := flag.String("repo", ".", "`folder` of the repository")
	flag.Parse()
	if err := run(*repo, *write); err != nil {
		fmt.Fprintf(os.Stderr, "modules: %v\n", err)
		os.Exit(1)
	}
}

func run(repo string, write bool) error {
	all, err := workspace.Load(repo)
	if err != nil {
		return err
	}
	if err := workspace.Check(all); err != nil {
		return err
	}
	for _, m := range all {
		file := filepath.Join(repo, m.Dir, "go.mod")
		have, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		want, err := workspace.Rewrite(m.Dir, have, m.Imports, workspace.Reach(all, m.Dir))
		if err != nil {
			return err
		}
		switch {
		case bytes.Equal(have, want):
		case write:
			if err := os.WriteFile(file, want, 0o644); err != nil {
				return err
			}
			fmt.Println("wrote", file)
		default:
			return fmt.Errorf("%s: its lines for modules of this repository do not follow from its imports (%v): `make modules` writes them", file, m.Imports)
		}
	}
	return nil
}
