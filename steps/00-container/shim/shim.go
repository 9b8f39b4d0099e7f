// Package shim is the manager's side of the shims.
//
// A shim is a small process of its own, one per pod, and the parent of the
// pod's containers. A parent must stay: the kernel tells only the parent how a
// process ended, and somebody must read the pipes that containers write to.
// The manager (the kubelet, or the runtime's daemon) is big and gets upgraded
// and killed; shims are small and stay, and the manager finds them again by
// their sockets.
//
// A shim can be killed, too. Its containers live on as children of its reaper
// (package reaper), their pipes kept open by the pod's pause process (package
// pause), until [Start] starts a new shim, which takes the pipes over and goes on
// reading.
//
// Package podshim is the other side; containerd's shims are the model.
package shim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/steps/00-container/overlay"
	"github.com/k8s-groundup/groundup/steps/00-container/state"
)

// A Pod tells a shim what it is to look after. It is kept as pod.json in the
// pod's run directory, for the next shim as well.
type Pod struct {
	ID         string            `json:"id"`
	Dirs       state.Dirs        `json:"dirs"`
	Net        bool              `json:"net"` // namespaces of its own; UTS goes with it
	IPC        bool              `json:"ipc"`
	PID        bool              `json:"pid"`
	UIDs       []IDMap           `json:"uids,omitempty"` // a user namespace, if there are any
	GIDs       []IDMap           `json:"gids,omitempty"`
	Hostname   string            `json:"hostname,omitempty"`
	Sysctls    map[string]string `json:"sysctls,omitempty"` // by their files below /proc/sys
	CgroupPath string            `json:"cgroupPath"`
	OOMScore   int               `json:"oomScore"`
}

// An IDMap maps a range of ids, as a line of /proc/PID/uid_map does.
type IDMap struct {
	Container int `json:"container"`
	Host      int `json:"host"`
	Size      int `json:"size"`
}

// A Bundle tells a shim how to run a container, beside the OCI spec in
// config.json. It is bundle.json in the container's run directory.
type Bundle struct {
	Rootfs  overlay.Rootfs `json:"rootfs"`
	LogPath string         `json:"logPath,omitempty"`
	TTY     bool           `json:"tty,omitempty"`
	Stdin   bool           `json:"stdin,omitempty"`
}

// ErrGone is returned when the shim's end of the connection closed before it
// had answered: it has died, and the pod wants adoption.
var ErrGone = errors.New("the pod's shim is gone")

// A Client talks to the shim of one pod.
type Client struct{ socket string }

// New returns the client of the shim whose pod has this run directory. The
// shim need not be there.
func New(runPod string) *Client { return &Client{filepath.Join(runPod, "shim.sock")} }

// Start starts a shim for the pod that pod.json in runPod describes, and waits
// until it is ready. If the pod's pause process is there already, the shim
// takes over what its predecessor left; that is adoption.
//
// The socket is made here and handed down, so that requests can queue up while
// the shim starts.
func Start(ctx context.Context, program *Program, runPod string) (*Client, error) {
	c := New(runPod)
	listener, err := c.listen()
	if err != nil {
		return nil, fmt.Errorf("start shim: %w", err)
	}
	defer listener.Close()
	log, err := os.OpenFile(filepath.Join(runPod, "shim.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start shim: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(program.exe())
	cmd.Args = []string{"reaper", program.path, runPod} // starts "runtime-shim pod DIR" below itself
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{listener}
	cmd.Dir = "/"
	// Small before fast: a shim works for milliseconds and waits for days.
	cmd.Env = []string{"GOGC=50", "GOMAXPROCS=1", "GOMEMLIMIT=16MiB", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start shim: %w", err)
	}
	gone := make(chan struct{})
	go func() { // as long as we are its parent, we reap it
		cmd.Wait()
		close(gone)
	}()
	if err := c.ready(ctx); err != nil {
		// A shim that is dying must not be taken for one that serves: who cleans
		// up after us has to find it dead, and start one that does the work.
		cmd.Process.Kill()
		<-gone
		return nil, err
	}
	return c, nil
}

func (c *Client) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	_, err := c.call(ctx, Request{Op: OpReady})
	return err
}

// listen makes the shim's socket, in place of one that a dead shim left.
func (c *Client) listen() (f *os.File, err error) {
	if err := os.Remove(c.socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	err = onSocket(c.socket, func(addr *net.UnixAddr) error {
		l, err := net.ListenUnix("unix", addr)
		if err != nil {
			return err
		}
		defer l.Close()
		l.SetUnlinkOnClose(false)
		f, err = l.File()
		return err
	})
	return f, err
}

// dial fails with ErrGone when nobody listens.
func (c *Client) dial() (Conn, error) {
	var conn *net.UnixConn
	err := onSocket(c.socket, func(addr *net.UnixAddr) (err error) {
		conn, err = net.DialUnix("unix", nil, addr)
		return err
	})
	if err != nil {
		return Conn{}, fmt.Errorf("%w: %w", ErrGone, err)
	}
	return Conn{conn}, nil
}

// A session is a connection with its request sent.
func (c *Client) session(req Request, files ...*os.File) (Conn, error) {
	conn, err := c.dial()
	if err != nil {
		return Conn{}, err
	}
	if err := conn.Send(req, files...); err != nil {
		conn.Close()
		return Conn{}, fmt.Errorf("%s: %w: %w", req.Op, ErrGone, err)
	}
	return conn, nil
}

// reply waits for one reply, or for the end of ctx.
func reply(ctx context.Context, conn Conn) (Reply, []*os.File, error) {
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var r Reply
	files, err := conn.Receive(&r)
	switch {
	case ctx.Err() != nil:
		closeAll(files)
		return r, nil, ctx.Err()
	case err != nil:
		return r, nil, fmt.Errorf("%w: %w", ErrGone, err)
	case r.Error != "":
		closeAll(files)
		return r, nil, errors.New(r.Error)
	}
	return r, files, nil
}

func (c *Client) call(ctx context.Context, req Request) (Reply, error) {
	conn, err := c.session(req)
	if err != nil {
		return Reply{}, err
	}
	defer conn.Close()
	r, files, err := reply(ctx, conn)
	closeAll(files)
	return r, err
}

// Settled waits until what others have asked the shim to start has been started,
// or has failed to: a manager that was killed may have asked a moment ago.
func (c *Client) Settled(ctx context.Context) error {
	_, err := c.call(ctx, Request{Op: OpSettled})
	return err
}

// Listening reports whether there is a shim at the pod's socket.
func (c *Client) Listening() bool {
	conn, err := c.dial()
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// StartContainer runs the container whose bundle is in its run directory, and
// returns its process.
func (c *Client) StartContainer(ctx context.Context, id string) (pid int, err error) {
	r, err := c.call(ctx, Request{Op: OpStart, Container: id})
	return r.PID, err
}

// Signal sends a signal to the container's first process. A container that has
// ended takes any signal.
func (c *Client) Signal(ctx context.Context, id string, sig unix.Signal) error {
	_, err := c.call(ctx, Request{Op: OpSignal, Container: id, Signal: int(sig)})
	return err
}

// Wait waits until the container has ended. Its log is complete then.
func (c *Client) Wait(ctx context.Context, id string) (*state.Exit, error) {
	r, err := c.call(ctx, Request{Op: OpWait, Container: id})
	return r.Exit, err
}

// Resize sets the size of the container's terminal.
func (c *Client) Resize(ctx context.Context, id string, width, height uint16) error {
	_, err := c.call(ctx, Request{Op: OpResize, Container: id, Width: width, Height: height})
	return err
}

// ReopenLog makes the container's log go on in a new file.
func (c *Client) ReopenLog(ctx context.Context, id string) error {
	_, err := c.call(ctx, Request{Op: OpReopenLog, Container: id})
	return err
}

// CloseStdin lets the container read the end of its input, now that nobody
// will attach to it any more.
func (c *Client) CloseStdin(ctx context.Context, id string) error {
	_, err := c.call(ctx, Request{Op: OpCloseStdin, Container: id})
	return err
}

// Shutdown ends the pause process and then the shim itself. It succeeds when
// the shim is gone already.
func (c *Client) Shutdown(ctx context.Context) error {
	_, err := c.call(ctx, Request{Op: OpShutdown})
	if errors.Is(err, ErrGone) {
		return nil
	}
	return err
}

// Watch calls ended for each container that ends, until ctx is done or the
// shim is gone (ErrGone). Ready is called when nothing can be missed any more.
func (c *Client) Watch(ctx context.Context, ready func(), ended func(id string, exit state.Exit)) error {
	conn, err := c.session(Request{Op: OpWatch})
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, _, err := reply(ctx, conn); err != nil {
		return err
	}
	ready()
	for {
		r, _, err := reply(ctx, conn)
		if err != nil {
			return err
		}
		ended(r.Container, *r.Exit)
	}
}
