package cri

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"

	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"

	"github.com/k8s-groundup/groundup/steps/00-container/shim"
)

// Streaming is exec, attach and port-forward without the detour over a URL,
// for a caller in the same process that serves the streams itself.
func (s *Service) Streaming() streaming.Runtime { return streamRuntime{s} }

// streams is the HTTP server behind the URLs. A client of the CRI asks for a
// URL, and whoever has the URL, which holds a secret, connects to it once.
type streams struct {
	listener net.Listener
	server   streaming.Server
}

func newStreams(s *Service, addr string) (*streams, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("streaming server: %w", err)
	}
	conf := streaming.DefaultConfig
	conf.Addr = l.Addr().String()
	conf.BaseURL = &url.URL{Scheme: "http", Host: conf.Addr}
	server, err := streaming.NewServer(conf, s.Streaming())
	if err != nil {
		l.Close()
		return nil, err
	}
	return &streams{l, server}, nil
}

func (s *streams) serve(ctx context.Context) error {
	server := &http.Server{Handler: s.server, BaseContext: func(net.Listener) context.Context { return ctx }}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (s *streams) close() error {
	if err := s.listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Exec returns a URL at which to run a command.
func (s *Service) Exec(_ context.Context, req *runtimeapi.ExecRequest) (*runtimeapi.ExecResponse, error) {
	c, err := s.running(req.GetContainerId())
	if err != nil {
		return nil, toStatus(err)
	}
	req.ContainerId = c.ID
	return s.streams.server.GetExec(req)
}

// Attach returns a URL at which to attach to a container.
func (s *Service) Attach(_ context.Context, req *runtimeapi.AttachRequest) (*runtimeapi.AttachResponse, error) {
	c, err := s.running(req.GetContainerId())
	if err != nil {
		return nil, toStatus(err)
	}
	req.ContainerId = c.ID
	return s.streams.server.GetAttach(req)
}

// PortForward returns a URL at which to reach ports of a pod.
func (s *Service) PortForward(_ context.Context, req *runtimeapi.PortForwardRequest) (*runtimeapi.PortForwardResponse, error) {
	sb, err := s.sandbox(req.GetPodSandboxId())
	if err == nil && !s.isReady(sb) {
		err = fmt.Errorf("sandbox %s is not ready", sb.ID)
	}
	if err != nil {
		return nil, toStatus(err)
	}
	req.PodSandboxId = sb.ID
	return s.streams.server.GetPortForward(req)
}

// streamRuntime is what happens at those URLs.
type streamRuntime struct{ s *Service }

var _ streaming.Runtime = streamRuntime{}

// Exec runs a command. A command that fails is an ExitError.
func (r streamRuntime) Exec(ctx context.Context, id string, cmd []string, in io.Reader, out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) error {
	c, err := r.s.running(id)
	if err != nil {
		return err
	}
	code, err := r.s.execute(ctx, c, cmd, Streams{In: in, Out: out, Err: errOut, TTY: tty, Resize: resize})
	if err == nil && code != 0 {
		err = utilexec.CodeExitError{Err: fmt.Errorf("command terminated with exit code %d", code), Code: code}
	}
	return err
}

// Attach connects to a running container's own streams.
func (r streamRuntime) Attach(ctx context.Context, id string, in io.Reader, out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) error {
	c, err := r.s.running(id)
	if err != nil {
		return err
	}
	return r.s.attach(ctx, c, Streams{In: in, Out: out, Err: errOut, Resize: resize}, func() error { return nil })
}

// PortForward carries one connection to a port on the pod's loopback.
func (r streamRuntime) PortForward(ctx context.Context, id string, port int32, stream io.ReadWriteCloser) error {
	sb, err := r.s.sandbox(id)
	if err != nil {
		return err
	}
	conn, err := r.s.dialPod(ctx, sb, port)
	if err != nil {
		return err
	}
	defer conn.Close()
	var there sync.WaitGroup
	there.Go(func() {
		io.Copy(conn, stream)
		conn.(*net.TCPConn).CloseWrite()
	})
	_, err = io.Copy(stream, conn)
	stream.Close() // ends the other direction, too
	there.Wait()
	return err
}

// Streams are what a process of a container is connected to. Nil means
// nothing to read, or nowhere to write.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	TTY      bool // exec: give the process a terminal
	Resize   <-chan remotecommand.TerminalSize
}

// AttachContainer copies a container's output until it has ended or ctx is
// done, and input to it. Ready is called when no output can be missed any
// more: a caller that starts the container in it gets everything.
func (s *Service) AttachContainer(ctx context.Context, id string, io Streams, ready func() error) error {
	c, err := s.container(id)
	if err != nil {
		return toStatus(err)
	}
	return s.attach(ctx, c, io, ready)
}

func (s *Service) attach(ctx context.Context, c *container, io Streams, ready func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client, err := s.shim(ctx, c.Sandbox)
	if err != nil {
		return err
	}
	stdout, err := newOutput(io.Out)
	if err != nil {
		return err
	}
	stderr, err := newOutput(io.Err)
	if err != nil {
		stdout.abandon()
		return err
	}
	var notReady error
	err = client.Attach(ctx, c.ID, stdout.w, stderr.w, func() {
		stdout.handOver()
		stderr.handOver()
		if notReady = ready(); notReady != nil {
			cancel()
			return
		}
		go resizeLoop(ctx, io.Resize, func(w, h uint16) error { return client.Resize(ctx, c.ID, w, h) })
		if io.In != nil {
			go s.feed(ctx, client, c, io.In)
		}
	})
	stdout.finish()
	stderr.finish()
	if notReady != nil {
		return notReady
	}
	return err
}

// feed writes to the container's standard input. When the input ends, and the
// container wants it once only, the container reads its end, too.
func (s *Service) feed(ctx context.Context, client *shim.Client, c *container, in io.Reader) {
	stdin, err := client.Stdin(ctx, c.ID)
	if err != nil {
		s.log.Debug("attach without input", "container", c.ID, "err", err)
		return
	}
	_, err = io.Copy(stdin, in)
	stdin.Close()
	if c.Config.GetStdinOnce() && !c.Config.GetTty() {
		err = errors.Join(err, client.CloseStdin(context.WithoutCancel(ctx), c.ID))
	}
	if err != nil {
		s.log.Debug("attach: input ended", "container", c.ID, "err", err)
	}
}

func resizeLoop(ctx context.Context, sizes <-chan remotecommand.TerminalSize, set func(w, h uint16) error) {
	for {
		select {
		case size, ok := <-sizes:
			if !ok {
				return
			}
			set(size.Width, size.Height)
		case <-ctx.Done():
			return
		}
	}
}

// An output is a pipe whose write end another process gets, and whose read
// end is copied to a writer.
type output struct {
	r, w *os.File
	done chan struct{}
}

func newOutput(to io.Writer) (*output, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	o := &output{os.NewFile(uintptr(fds[0]), "output"), os.NewFile(uintptr(fds[1]), "output"), make(chan struct{})}
	// The other process's end must block; ours must not keep a thread.
	r, err := shim.Pollable(o.r)
	o.r.Close()
	if err != nil {
		o.w.Close()
		return nil, err
	}
	o.r = r
	if to == nil {
		to = io.Discard
	}
	go func() {
		defer close(o.done)
		io.Copy(to, o.r)
	}()
	return o, nil
}

// handOver closes our copy of the write end, so that the other's is the last.
func (o *output) handOver() { o.w.Close() }

// finish waits until everything that was written has been copied.
func (o *output) finish() {
	o.w.Close()
	<-o.done
	o.r.Close()
}

// abandon stops copying at once.
func (o *output) abandon() {
	o.w.Close()
	o.r.Close()
	<-o.done
}
