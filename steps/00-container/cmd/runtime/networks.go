package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"

	"github.com/k8s-groundup/groundup/steps/00-container/network"
	"github.com/k8s-groundup/groundup/steps/00-container/network/bridge"
	"github.com/k8s-groundup/groundup/steps/00-container/network/none"
)

// networks connects each sandbox the way its annotation says. The bridge is
// made when the first sandbox wants it.
type networks struct {
	dir      string       // of the bridge's leases
	subnet   netip.Prefix // of the bridge; zero for what it has
	fallback string       // for sandboxes that do not say
	log      *slog.Logger

	mu     sync.Mutex // guards bridge
	bridge *bridge.Bridge
}

var _ network.Network = (*networks)(nil)

func (n *networks) of(s network.Sandbox) (network.Network, error) {
	kind := s.Annotations[networkKind]
	if kind == "" {
		kind = n.fallback
	}
	switch kind {
	case "", "none":
		return none.New(), nil
	case "bridge":
		return n.openBridge()
	}
	return nil, fmt.Errorf("network %q: want none, bridge or host", kind)
}

func (n *networks) openBridge() (*bridge.Bridge, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.bridge != nil {
		return n.bridge, nil
	}
	b, err := bridge.New(bridge.Config{State: n.dir, Subnet: n.subnet, Log: n.log})
	n.bridge = b
	return b, err
}

func (n *networks) Attach(ctx context.Context, s network.Sandbox) (network.Result, error) {
	net, err := n.of(s)
	if err != nil {
		return network.Result{}, err
	}
	return net.Attach(ctx, s)
}

func (n *networks) Detach(ctx context.Context, s network.Sandbox) error {
	net, err := n.of(s)
	if err != nil {
		return err
	}
	return net.Detach(ctx, s)
}

func (n *networks) Ready() error {
	if n.fallback != "bridge" {
		return nil
	}
	b, err := n.openBridge()
	if err != nil {
		return err
	}
	return b.Ready()
}

// removeBridge takes the bridge away, if there is one.
func removeBridge(ctx context.Context, dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	b, err := bridge.New(bridge.Config{State: dir})
	if err != nil {
		return err
	}
	defer b.Close()
	return errors.Join(b.Remove(ctx), os.RemoveAll(dir))
}
