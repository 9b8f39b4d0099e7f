package cri

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/shim"
	"github.com/k8s-groundup/groundup/steps/00-container/state"
)

// ExecContainer runs a command in a running container and returns its exit
// code. When ctx ends the process is killed.
func (s *Service) ExecContainer(ctx context.Context, id string, cmd []string, io Streams) (int, error) {
	c, err := s.running(id)
	if err != nil {
		return 0, toStatus(err)
	}
	return s.execute(ctx, c, cmd, io)
}

func (s *Service) execute(ctx context.Context, c *container, cmd []string, io Streams) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	process, err := s.execProcess(c, cmd, io.TTY)
	if err != nil {
		return 0, err
	}
	client, err := s.shim(ctx, c.Sandbox)
	if err != nil {
		return 0, err
	}
	if io.TTY {
		return executeTerminal(ctx, client, c, process, io)
	}
	return executePipes(ctx, client, c, process, io)
}

// execProcess is the container's own process with another command: the same
// user, rights and environment.
func (s *Service) execProcess(c *container, cmd []string, tty bool) (*specs.Process, error) {
	var spec specs.Spec
	if err := state.Read(filepath.Join(s.dirs.RunContainer(c.Sandbox, c.ID), "config.json"), &spec); err != nil {
		return nil, err
	}
	if len(cmd) == 0 {
		return nil, fmt.Errorf("%w: no command to run", errInvalid)
	}
	p := spec.Process
	p.Args, p.Terminal = cmd, tty
	if tty && !slices.ContainsFunc(p.Env, func(v string) bool { return len(v) > 5 && v[:5] == "TERM=" }) {
		p.Env = append(p.Env, "TERM=xterm")
	}
	return p, nil
}

func executePipes(ctx context.Context, client *shim.Client, c *container, p *specs.Process, streams Streams) (int, error) {
	stdout, err := newOutput(streams.Out)
	if err != nil {
		return 0, err
	}
	stderr, err := newOutput(streams.Err)
	if err != nil {
		stdout.abandon()
		return 0, err
	}
	stdin, err := newInput(streams.In)
	if err == nil {
		defer stdin.close()
		var x *shim.Execution
		if x, err = client.Exec(ctx, c.ID, p, stdin.r, stdout.w, stderr.w); err == nil {
			defer x.Close()
			stdin.handOver()
			stdout.handOver()
			stderr.handOver()
			return waitExecution(ctx, x, stdout, stderr)
		}
	}
	stdout.abandon()
	stderr.abandon()
	return 0, err
}

// drainExec is how long output is waited for after the command has ended, from
// processes that it has left behind.
const drainExec = 2 * time.Second

func waitExecution(ctx context.Context, x *shim.Execution, outputs ...*output) (int, error) {
	code, err := x.Wait(ctx)
	x.Close() // kills it, if it was ctx that ended
	deadline := time.Now().Add(drainExec)
	for _, o := range outputs {
		o.r.SetReadDeadline(deadline)
		o.finish()
	}
	return code, err
}

func executeTerminal(ctx context.Context, client *shim.Client, c *container, p *specs.Process, streams Streams) (int, error) {
	x, err := client.Exec(ctx, c.ID, p, nil, nil, nil)
	if err != nil {
		return 0, err
	}
	defer x.Close()
	go resizeLoop(ctx, streams.Resize, func(w, h uint16) error { return shim.SetSize(x.Console, w, h) })
	if streams.In != nil {
		go io.Copy(x.Console, streams.In)
	}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		io.Copy(streams.Out, x.Console) // ends with EIO when the last process has gone
	}()
	code, err := x.Wait(ctx)
	x.Console.SetReadDeadline(time.Now().Add(drainExec))
	<-copied
	return code, err
}

// An input is a pipe whose read end another process gets, fed by a reader.
type input struct{ r, w *os.File }

func newInput(from io.Reader) (*input, error) {
	if from == nil {
		null, err := os.Open(os.DevNull)
		return &input{r: null}, err
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	i := &input{r: os.NewFile(uintptr(fds[0]), "input")}
	w := os.NewFile(uintptr(fds[1]), "input")
	var err error
	if i.w, err = shim.Pollable(w); err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, errors.Join(err, i.r.Close())
	}
	// Ends when the process has closed its end, or close has closed ours; a
	// reader that blocks keeps the goroutine until the caller closes it.
	go func() {
		io.Copy(i.w, from)
		i.w.Close()
	}()
	return i, nil
}

func (i *input) handOver() { i.r.Close() }

func (i *input) close() {
	i.r.Close()
	if i.w != nil {
		i.w.Close()
	}
}

// maxExecOutput is the CRI's limit on what ExecSync returns of each stream.
const maxExecOutput = 16 << 20

// ExecSync runs a command and returns what it wrote. A command that takes
// longer than the timeout is killed, and the error is DeadlineExceeded.
func (s *Service) ExecSync(ctx context.Context, req *runtimeapi.ExecSyncRequest) (*runtimeapi.ExecSyncResponse, error) {
	c, err := s.running(req.GetContainerId())
	if err != nil {
		return nil, toStatus(err)
	}
	if t := req.GetTimeout(); t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(t)*time.Second)
		defer cancel()
	}
	var stdout, stderr capped
	code, err := s.execute(ctx, c, req.GetCmd(), Streams{Out: &stdout, Err: &stderr})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, status.Errorf(codes.DeadlineExceeded, "command %q timed out after %d s", req.GetCmd(), req.GetTimeout())
	}
	if err != nil {
		return nil, toStatus(err)
	}
	return &runtimeapi.ExecSyncResponse{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), ExitCode: int32(code)}, nil
}

// capped keeps the first 16 MiB and takes the rest without keeping it.
type capped struct{ bytes.Buffer }

func (c *capped) Write(p []byte) (int, error) {
	c.Buffer.Write(p[:min(len(p), maxExecOutput-c.Len())])
	return len(p), nil
}
