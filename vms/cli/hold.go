package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/vms/machine"
	"github.com/k8s-groundup/groundup/vms/repo"
	"github.com/k8s-groundup/groundup/vms/wire"
)

// A holder is the process in the background that has one machine of a fleet as its
// child. It boots the machine again when that reboots, and ends when it powers
// off. Who comes to its socket speaks package wire: one connection is one command.
type holder struct {
	dir     string // of the machine
	machine func(ctx context.Context) (*machine.Machine, error)

	mu      sync.Mutex       // guards the fields below
	current *machine.Machine // nil while it boots
	err     error            // why it will never boot again
	booted  chan struct{}    // closed when one of them is set
}

func holdCommand() *cobra.Command {
	var (
		f         fleet
		node, net int
	)
	cmd := &cobra.Command{
		Use:    "hold",
		Short:  "Boot a machine and keep it: what vm start runs in the background",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.holdOne(cmd, node, net)
		},
	}
	f.register(cmd)
	f.options.register(cmd)
	cmd.Flags().IntVar(&node, "node", 1, "the machine's `number`")
	cmd.Flags().IntVar(&net, "port", 0, "the network's UDP `port`")
	return cmd
}

func (f *fleet) holdOne(cmd *cobra.Command, n, port int) error {
	r, err := repo.Find()
	if err != nil {
		return err
	}
	dir := f.machine(n)
	lock, err := lockMachine(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	console, err := os.Create(filepath.Join(dir, consoleFile))
	if err != nil {
		return err
	}
	defer console.Close()
	boot := func(ctx context.Context) (*machine.Machine, error) {
		conf, err := f.prepare(ctx, r, cmd.ErrOrStderr())
		if err != nil {
			return nil, err
		}
		conf.Systemd, conf.Console, conf.Disk, conf.Lock = true, console, filepath.Join(dir, diskFile), lock
		conf.Hostname, conf.Network = network(n, port)
		j := job{repo: true, nodes: 1}
		clean, err := j.ship(r, &conf)
		if err != nil {
			return nil, err
		}
		defer clean()
		return machine.Boot(ctx, conf)
	}
	h := &holder{dir: dir, machine: boot, booted: make(chan struct{})}
	return h.run(cmd.Context())
}

// lockMachine writes our process id down and keeps the file locked: whoever finds
// it locked knows that we live, or our machine does, which has the file open too.
func lockMachine(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, pidFile), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, fmt.Errorf("another process has the machine of %s: %w", dir, err)
	}
	if err := f.Truncate(0); err != nil {
		return nil, err
	}
	_, err = fmt.Fprintln(f, os.Getpid())
	return f, err
}

func (h *holder) run(ctx context.Context) error {
	m, err := h.machine(ctx)
	if err != nil {
		return err
	}
	h.set(m)
	// Only now: that one can connect says that the machine takes commands.
	l, err := listen(h.dir)
	if err != nil {
		m.Close()
		return err
	}
	var group sync.WaitGroup
	defer group.Wait()
	defer l.Close()
	group.Go(func() { h.accept(ctx, l, &group) })
	for {
		select {
		case <-ctx.Done():
		case <-m.Done():
		}
		again := ctx.Err() == nil && m.Rebooted()
		m.Close()
		if !again {
			return nil
		}
		h.set(nil)
		if m, err = h.machine(ctx); err != nil {
			h.fail(err)
			return err
		}
		h.set(m)
	}
}

// fail tells those who wait for the machine that it does not come.
func (h *holder) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
	close(h.booted)
}

func (h *holder) set(m *machine.Machine) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.current = m
	if m == nil {
		h.booted = make(chan struct{})
	} else {
		close(h.booted)
	}
}

// get waits for the machine, if it boots.
func (h *holder) get(ctx context.Context) (*machine.Machine, error) {
	h.mu.Lock()
	booted := h.booted
	h.mu.Unlock()
	select {
	case <-booted:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return nil, fmt.Errorf("the machine went down to reboot, and is lost: %w", h.err)
	}
	if h.current == nil {
		return nil, errors.New("the machine reboots")
	}
	return h.current, nil
}

func (h *holder) accept(ctx context.Context, l net.Listener, group *sync.WaitGroup) {
	for {
		c, err := l.Accept()
		if err != nil {
			return // closed by run
		}
		group.Go(func() {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			defer c.Close()
			h.serve(ctx, cancel, wire.NewConn(c))
		})
	}
}

// serve runs the one command of a connection. It is interrupted when who asked for
// it goes, or sends a signal.
func (h *holder) serve(ctx context.Context, cancel func(), conn *wire.Conn) {
	first, err := conn.Receive()
	if err != nil || first.Start == nil {
		return // somebody has looked whether we are there
	}
	stdin, feed := io.Pipe()
	defer stdin.Close()
	go func() {
		defer cancel()
		for {
			m, err := conn.Receive()
			switch {
			case err != nil || m.Signal != nil:
				feed.CloseWithError(io.EOF)
				return
			case m.Data != nil && len(m.Data.Bytes) == 0:
				feed.Close()
			case m.Data != nil:
				if _, err := feed.Write(m.Data.Bytes); err != nil {
					continue // the command has ended, or does not read
				}
			}
		}
	}()
	exit := wire.Exit{Run: first.Start.Run}
	if exit.Code, err = h.command(ctx, conn, *first.Start, stdin); err != nil {
		exit.Error = err.Error()
	}
	_ = conn.Send(wire.Message{Exit: &exit}) // who asked may have gone
}

func (h *holder) command(ctx context.Context, conn *wire.Conn, s wire.Start, stdin io.Reader) (int, error) {
	m, err := h.get(ctx)
	if err != nil {
		return -1, err
	}
	return m.Run(ctx, machine.Command{
		Args: s.Args, Dir: s.Dir, Env: append(s.Env, fmt.Sprintf("GROUNDUP_VM_FACTOR=%.1f", m.Factor())),
		Stdin: stdin, Stdout: &sender{conn, s.Run, wire.Stdout}, Stderr: &sender{conn, s.Run, wire.Stderr}, TTY: s.TTY,
	})
}

// A sender sends what is written to it as a stream of a run.
type sender struct {
	conn   *wire.Conn
	run    int
	stream wire.Stream
}

func (s *sender) Write(b []byte) (int, error) {
	return len(b), s.conn.Send(wire.Message{Data: &wire.Data{Run: s.run, Stream: s.stream, Bytes: b}})
}

// socketPath reaches a socket in a folder whose name may be longer than the 107
// bytes of a socket's address, unix(7). The caller closes the folder.
func socketPath(dir string) (*os.File, string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, "", err
	}
	return f, fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), socketFile), nil
}

func listen(dir string) (net.Listener, error) {
	f, path, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err == nil {
		// Its name is not ours to remove: the folder has another number by then.
		l.(*net.UnixListener).SetUnlinkOnClose(false)
	}
	return l, err
}

func dialHolder(dir string) (net.Conn, error) {
	f, path, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return net.Dial("unix", path)
}
