package machine

import (
	"context"

	"github.com/k8s-groundup/groundup/vms/wire"
)

// A BuildFunc runs the go command on this computer for a machine: args are those
// after "go", env what the machine's program would add. It calls emit with every
// piece of every file that the go command would write.
type BuildFunc func(ctx context.Context, b wire.Build, emit func(file string, piece []byte) error) wire.Built

func (m *Machine) build(b wire.Build) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-m.process.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	last := wire.Built{Code: 1, Stderr: "this computer builds nothing for the machine\n"}
	if m.conf.Build != nil {
		last = m.conf.Build(ctx, b, func(file string, piece []byte) error {
			return m.conn.Send(wire.Message{Built: &wire.Built{Number: b.Number, File: file, Bytes: piece}})
		})
	}
	last.Number, last.Done = b.Number, true
	_ = m.conn.Send(wire.Message{Built: &last}) // the machine may have ended
}
