// Package none is the network of a sandbox that has no network: its processes
// can talk to each other over loopback and to nobody else.
package none

import (
	"context"

	"github.com/k8s-groundup/groundup/steps/00-container/network"
	"github.com/k8s-groundup/groundup/steps/00-container/network/internal/netns"
)

// A Network brings lo up and gives no address.
type Network struct{}

var _ network.Network = Network{}

// New makes a Network. It has no state.
func New() Network { return Network{} }

// Attach brings loopback up.
func (Network) Attach(_ context.Context, s network.Sandbox) (network.Result, error) {
	ns, err := netns.Open(s.Netns)
	if err != nil {
		return network.Result{}, err
	}
	defer ns.Close()
	return network.Result{}, ns.LoopbackUp()
}

// Detach has nothing to release: lo goes with its namespace.
func (Network) Detach(context.Context, network.Sandbox) error { return nil }

// Ready is always nil.
func (Network) Ready() error { return nil }
