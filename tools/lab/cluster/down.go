package cluster

import (
	"errors"
	"os"

	"github.com/k8s-groundup/groundup/tools/lab/fabric"
	"github.com/k8s-groundup/groundup/tools/lab/host"
)

// Down removes the cluster: nodes, network, cgroups, and every file of the home
// directory. It succeeds when there is nothing, and may be called after any
// crash of [Cluster.Up]. The caller holds the lock.
func (c *Cluster) Down() error {
	state, err := c.State()
	if err != nil && !errors.Is(err, ErrNone) {
		return err
	}
	if state.Host != nil || host.Claimed(c.Home) {
		err = c.do("remove the node from this machine", func() error { return c.removeHost(state) })
	} else if err = c.removeNodes(1); err == nil {
		err = c.do("remove the network between the nodes", func() error { return fabric.Remove(c.Home, state.ForwardWasOff) })
	}
	if err != nil {
		return err
	}
	for _, name := range []string{"bin", "images", "pki", "nodes", "admin.conf", "cluster.json"} {
		if err := os.RemoveAll(c.path(name)); err != nil {
			return err
		}
	}
	// Our lock is on this file: whoever waits for it opens a new one.
	if err := os.Remove(c.path("lock")); err != nil {
		return err
	}
	if err := os.Remove(c.Home); err != nil && !errors.Is(err, os.ErrNotExist) {
		entries, readErr := os.ReadDir(c.Home)
		if readErr != nil || len(entries) == 0 {
			return err
		}
		// It holds something that is not ours: that stays.
	}
	return nil
}
