package cli

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/k8s-groundup/groundup/vms/wire"
)

// Who has a command for a machine that reboots waits for it, and hears when it does not come
// back.
func TestMachineThatIsLost(t *testing.T) {
	ours, theirs := net.Pipe()
	deadline := time.Now().Add(20 * time.Second)
	if err := errors.Join(ours.SetDeadline(deadline), theirs.SetDeadline(deadline)); err != nil {
		t.Fatal(err)
	}
	h := &holder{booted: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() {
		defer close(served)
		h.serve(ctx, cancel, wire.NewConn(theirs))
	}()
	conn := wire.NewConn(ours)
	if err := conn.Send(wire.Message{Start: &wire.Start{Run: 7, Args: []string{"true"}}}); err != nil {
		t.Fatal(err)
	}
	h.fail(errors.New("no power"))
	m, err := conn.Receive()
	if err != nil || m.Exit == nil || m.Exit.Run != 7 || !strings.Contains(m.Exit.Error, "no power") {
		t.Errorf("got %+v, %v; want an exit that says why", m, err)
	}
	select {
	case <-served:
	case <-time.After(time.Until(deadline)):
		t.Error("the holder still waits")
	}
}
