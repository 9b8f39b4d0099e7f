//go:build tools

// Package limactl pins the limactl that reads our templates in CI. It is a
// module of its own, outside the workspace: nothing of ours is linked with it.
// Here, with GOWORK=off,
//
//	go build -o DIR/limactl github.com/lima-vm/lima/cmd/limactl
package limactl

import (
	_ "github.com/lima-vm/lima/cmd/lima-guestagent"
	_ "github.com/lima-vm/lima/cmd/limactl"
)
