package shim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/steps/00-container/state"
)

// An Execution is a process that was started in a running container. What it
// reads and writes goes through the files it was given, past the shim.
type Execution struct {
	PID     int
	Console *os.File // the master of its terminal, if it has one
	conn    Conn
}

// Exec starts a process. With a terminal, stdin, stdout and stderr are not
// used, and the master of the terminal is in the result.
func (c *Client) Exec(ctx context.Context, id string, p *specs.Process, stdin, stdout, stderr *os.File) (*Execution, error) {
	spec, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	req := Request{Op: OpExec, Container: id, Process: spec}
	if !p.Terminal {
		return c.exec(ctx, req, stdin, stdout, stderr)
	}
	ours, theirs, err := Socketpair()
	if err != nil {
		return nil, err
	}
	defer ours.Close()
	e, err := c.exec(ctx, req, theirs)
	theirs.Close()
	if err != nil {
		return nil, err
	}
	if e.Console, err = ReceiveConsole(ours); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

func (c *Client) exec(ctx context.Context, req Request, files ...*os.File) (*Execution, error) {
	conn, err := c.session(req, files...)
	if err != nil {
		return nil, err
	}
	r, _, err := reply(ctx, conn)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &Execution{PID: r.PID, conn: conn}, nil
}

// Wait waits for the process to end and returns its exit code.
func (e *Execution) Wait(ctx context.Context) (int, error) {
	r, _, err := reply(ctx, e.conn)
	if err != nil {
		return 0, err
	}
	return r.Exit.Code, nil
}

// Close kills the process if it still runs.
func (e *Execution) Close() error {
	if e.Console != nil {
		e.Console.Close()
	}
	return e.conn.Close()
}

// Attach copies what the container writes from now on to stdout and stderr,
// until ctx is done or the container has ended. It may be called before the
// container is started. Ready is called when nothing can be missed any more.
func (c *Client) Attach(ctx context.Context, id string, stdout, stderr *os.File, ready func()) error {
	conn, err := c.session(Request{Op: OpAttach, Container: id}, stdout, stderr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, _, err := reply(ctx, conn); err != nil {
		return err
	}
	ready()
	_, _, err = reply(ctx, conn)
	return err
}

// Stdin returns a file that writes to the container, or to its terminal.
func (c *Client) Stdin(ctx context.Context, id string) (*os.File, error) {
	conn, err := c.session(Request{Op: OpStdin, Container: id})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_, files, err := reply(ctx, conn)
	if err != nil {
		return nil, err
	}
	if len(files) != 1 {
		closeAll(files)
		return nil, errors.New("the container has no standard input")
	}
	return files[0], nil
}

// Socketpair returns two connected sockets.
func Socketpair() (*os.File, *os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(pair[0]), "console"), os.NewFile(uintptr(pair[1]), "console"), nil
}

// ReceiveConsole takes the master of a terminal from a socket over which
// libcontainer sends it: one message, the terminal's name with the file. It can
// be read with deadlines.
func ReceiveConsole(socket *os.File) (*os.File, error) {
	fd := int(socket.Fd())
	timeout := unix.NsecToTimeval(int64(10 * time.Second))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return nil, err
	}
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(fd, make([]byte, 4096), oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("receive the terminal: %w", err)
	}
	files, err := receivedFiles(oob[:n])
	if err != nil || len(files) != 1 {
		return nil, fmt.Errorf("receive the terminal: %w", errors.Join(err, io.ErrUnexpectedEOF))
	}
	defer files[0].Close()
	return Pollable(files[0])
}

// Pollable returns a duplicate of f that Go waits for without keeping a thread.
func Pollable(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(uintptr(number(f)), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// SetSize sets the size of a terminal by its master.
func SetSize(console *os.File, width, height uint16) error {
	conn, err := console.SyscallConn()
	if err != nil {
		return err
	}
	err2 := conn.Control(func(fd uintptr) {
		err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height})
	})
	return errors.Join(err, err2)
}

// Exited reads how a container ended, or returns state.ErrNotFound.
func Exited(dirs state.Dirs, sandbox, id string) (state.Exit, error) {
	var e state.Exit
	return e, state.Read(dirs.Container(sandbox, id)+"/exit.json", &e)
}
