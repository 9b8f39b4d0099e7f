package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/k8s-groundup/groundup/tools/lab/initd"
	"github.com/spf13/cobra"
)

func shellCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "shell [NODE] [-- COMMAND…]",
		Short: "A root shell in a node, or one command there",
		Example: `  lab shell
  lab shell node-2 -- crictl ps`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := asRoot("entering a node"); err != nil {
				return err
			}
			name, argv := "", args
			if dash := cmd.ArgsLenAtDash(); dash != 0 && len(args) > 0 {
				name, argv = args[0], args[1:]
			}
			node, err := pick(open(), name)
			if err != nil {
				return err
			}
			return shell(node, argv)
		},
	}
}

func shell(node cluster.Node, argv []string) error {
	inside := exec.Command("sh", "-c", "command -v bash >/dev/null && exec bash || exec sh")
	inside.Env = []string{"PS1=" + node.Name + `:\w# `}
	if len(argv) > 0 {
		inside = exec.Command(argv[0], argv[1:]...)
	}
	inside.Env = append(boxEnviron(), inside.Env...)
	inside.Stdin, inside.Stdout, inside.Stderr = os.Stdin, os.Stdout, os.Stderr
	return exitOf(node.Run(inside))
}

func logsCommand() *cobra.Command {
	var follow bool
	var node string
	var lines int
	cmd := &cobra.Command{
		Use:   "logs [COMPONENT]",
		Short: "The log of a node's component; without a name, which there are",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := asRoot("reading a node's logs"); err != nil {
				return err
			}
			n, err := pick(open(), node)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return listLogs(cmd.OutOrStdout(), n)
			}
			path := n.Path(filepath.Join(initd.LogDir, args[0]+".log"))
			if _, err := os.Stat(path); err != nil {
				return fmt.Errorf("%s has no component %q: `lab logs` lists them", n.Name, args[0])
			}
			return tail(cmd.Context(), cmd.OutOrStdout(), path, lines, follow)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on as lines are written")
	cmd.Flags().StringVar(&node, "node", "", "of this `node` (default: the first)")
	cmd.Flags().IntVar(&lines, "tail", 200, "at most so many `lines` of the past")
	return cmd
}

func listLogs(w io.Writer, n cluster.Node) error {
	files, err := filepath.Glob(n.Path(filepath.Join(initd.LogDir, "*.log")))
	if err != nil {
		return err
	}
	for _, f := range files {
		fmt.Fprintln(w, strings.TrimSuffix(filepath.Base(f), ".log"))
	}
	return nil
}

// tail prints the last lines of a file and, when following, what is appended
// until ctx is done.
func tail(ctx context.Context, w io.Writer, path string, lines int, follow bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	var last []string
	for {
		line, err := r.ReadString('\n')
		if line != "" {
			if last = append(last, line); len(last) > lines {
				last = last[1:]
			}
		}
		if err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	if _, err := io.WriteString(w, strings.Join(last, "")); err != nil || !follow {
		return err
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := io.Copy(w, r); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
