package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"

	"github.com/k8s-groundup/groundup/steps/00-container/cri"
)

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// terminal connects our own streams. With a terminal on both sides ours goes
// raw, so that each key reaches the container; restore undoes that.
func terminal(ctx context.Context, tty, stdin bool) (s cri.Streams, restore func(), err error) {
	s = cri.Streams{Out: os.Stdout, Err: os.Stderr, TTY: tty}
	if stdin {
		s.In = os.Stdin
	}
	if !tty || !isTerminal(os.Stdin) {
		return s, func() {}, nil
	}
	was, err := term.MakeRaw(int(os.Stdin.Fd()))
	if err != nil {
		return s, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	s.Resize = sizes(ctx)
	return s, func() {
		cancel()
		term.Restore(int(os.Stdin.Fd()), was)
	}, nil
}

// sizes sends our terminal's size, now and whenever it changes.
func sizes(ctx context.Context) <-chan remotecommand.TerminalSize {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	changed <- syscall.SIGWINCH
	out := make(chan remotecommand.TerminalSize)
	go func() {
		defer signal.Stop(changed)
		defer close(out)
		for {
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
			width, height, err := term.GetSize(int(os.Stdin.Fd()))
			if err != nil {
				continue
			}
			select {
			case out <- remotecommand.TerminalSize{Width: uint16(width), Height: uint16(height)}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// waitExit waits for a container's exit code.
func waitExit(ctx context.Context, s *cri.Service, id string) (int, error) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := s.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: id})
		if err != nil {
			return 0, err
		}
		if resp.GetStatus().GetState() == runtimeapi.ContainerState_CONTAINER_EXITED {
			return int(resp.GetStatus().GetExitCode()), nil
		}
		<-tick.C
	}
}
