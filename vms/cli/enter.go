package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/k8s-groundup/groundup/vms/machine"
	"github.com/k8s-groundup/groundup/vms/repo"
	"github.com/k8s-groundup/groundup/vms/wire"
)

func enterCommand() *cobra.Command {
	var f fleet
	cmd := &cobra.Command{
		Use:   "enter --state DIR NODE [-- COMMAND…]",
		Short: "A root shell in a machine that vm start has started, or one command there",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			argv := args[1:]
			if len(argv) > 0 && argv[0] == "--" {
				argv = argv[1:]
			}
			if len(argv) == 0 {
				argv = []string{"bash", "-l"}
			}
			return f.enter(cmd, args[0], argv)
		},
	}
	f.register(cmd)
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// enter runs the command in the repository, on the terminal if there is one.
func (f *fleet) enter(cmd *cobra.Command, node string, argv []string) error {
	r, err := repo.Find()
	if err != nil {
		return err
	}
	c := machine.Command{
		Args: argv, Dir: r.Dir, Env: []string{"GROUNDUP_REPO=" + r.Dir},
		Stdin: os.Stdin, Stdout: cmd.OutOrStdout(), Stderr: cmd.ErrOrStderr(),
	}
	if in, out := int(os.Stdin.Fd()), int(os.Stdout.Fd()); term.IsTerminal(in) && term.IsTerminal(out) {
		cols, rows, err := term.GetSize(in)
		if err != nil {
			return err
		}
		before, err := term.MakeRaw(in)
		if err != nil {
			return err
		}
		defer term.Restore(in, before)
		c.TTY = &wire.Size{Rows: uint16(rows), Cols: uint16(cols)}
		c.Env = append(c.Env, "TERM="+os.Getenv("TERM"))
	}
	return enter(cmd.Context(), filepath.Join(f.dir, node), c)
}

// enter runs a command in the machine of a folder. When ctx ends, the command is
// interrupted, and its end awaited.
func enter(ctx context.Context, dir string, c machine.Command) error {
	conn, err := dialHolder(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("there is no machine %s: vm start starts them", filepath.Base(dir))
	case errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("%s is powered off: vm start boots it again", filepath.Base(dir))
	case err != nil:
		return err
	}
	defer conn.Close()
	return converse(ctx, conn, c)
}

// converse is a command's whole life on a connection to its holder.
func converse(ctx context.Context, conn net.Conn, c machine.Command) error {
	w := wire.NewConn(conn)
	if err := w.Send(wire.Message{Start: &wire.Start{Args: c.Args, Env: c.Env, Dir: c.Dir, TTY: c.TTY}}); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() {
		_ = w.Send(wire.Message{Signal: &wire.Signal{Number: int(unix.SIGTERM)}}) // it may have ended
	})()
	go sendAll(w, c.Stdin)
	for {
		m, err := w.Receive()
		switch {
		case err != nil:
			return fmt.Errorf("the machine has gone: %w", err)
		case m.Data != nil:
			to := c.Stdout
			if m.Data.Stream == wire.Stderr {
				to = c.Stderr
			}
			if _, err := to.Write(m.Data.Bytes); err != nil {
				return err
			}
		case m.Exit != nil && ctx.Err() != nil:
			return ctx.Err()
		case m.Exit != nil && m.Exit.Error != "":
			return errors.New(m.Exit.Error)
		case m.Exit != nil:
			return exit(m.Exit.Code, nil)
		}
	}
}

// sendAll sends the input and its end. A read from a terminal can't be called off:
// it ends with the program.
func sendAll(w *wire.Conn, from io.Reader) {
	buf := make([]byte, 64<<10)
	for from != nil {
		n, err := from.Read(buf)
		if n > 0 && w.Send(wire.Message{Data: &wire.Data{Bytes: buf[:n]}}) != nil {
			return
		}
		if err != nil {
			break
		}
	}
	_ = w.Send(wire.Message{Data: &wire.Data{}}) // it may have ended
}
