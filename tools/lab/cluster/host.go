package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/pki"
	"github.com/k8s-groundup/groundup/tools/lab/box"
	"github.com/k8s-groundup/groundup/tools/lab/fabric"
	"github.com/k8s-groundup/groundup/tools/lab/host"
)

// A Host is the node that this machine itself is.
type Host struct {
	Number int    `json:"number"` // 1 when it is alone
	IP     string `json:"ip"`
	// ControlPlane is the first machine's address, for one that has joined it.
	ControlPlane string `json:"controlPlane,omitempty"`
}

// forwardFile holds what the nodes' pods need switched on.
const forwardFile = "/proc/sys/net/ipv4/ip_forward"

// upHost is [Cluster.Up] for the machine itself. old and found are what State
// said.
func (c *Cluster) upHost(ctx context.Context, spec Spec, old State, found error) error {
	state := old
	if spec.Join != nil {
		if err := old.mayJoin(spec.Join); err != nil {
			return err
		}
	}
	switch {
	case errors.Is(found, ErrNone):
		forward, err := os.ReadFile(forwardFile)
		if err != nil {
			return err
		}
		if err := c.do("claim this machine", func() error { return host.Claim(c.Home) }); err != nil {
			return err
		}
		state.ForwardWasOff = strings.TrimSpace(string(forward)) == "0"
		if state.Plan, err = fabric.Choose(); err != nil {
			return err
		}
	case found != nil:
		return found
	case old.Step > spec.Step.Number:
		if err := c.do(fmt.Sprintf("go back from step %02d: the node starts afresh", old.Step), func() error {
			return errors.Join(c.removeHost(old), host.Claim(c.Home))
		}); err != nil {
			return err
		}
	}
	state.Step, state.Nodes, state.Host = spec.Step.Number, 1, spec.Host
	if spec.Join != nil {
		state.Plan = spec.Join.Plan
	}
	if err := c.save(state); err != nil {
		return err
	}
	if err := c.do("programs and images", func() error { return c.install(spec) }); err != nil {
		return err
	}
	// The node's disk is this machine's: a path below it is found in the same way
	// as in a box.
	root := c.nodePath(spec.Host.Number, "root")
	if err := os.MkdirAll(filepath.Dir(root), 0o755); err != nil {
		return err
	}
	if err := os.Symlink("/", root); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if spec.Join != nil {
		if err := c.do("join "+NodeName(1), func() error { return c.join(spec.Join) }); err != nil {
			return err
		}
	}
	if state.joined() {
		return c.bootNode(ctx, spec, state, nil, spec.Host.Number)
	}
	authority, err := pki.Open(c.path("pki"))
	if err != nil {
		return err
	}
	if err := c.admin(authority); err != nil {
		return err
	}
	return c.bootNode(ctx, spec, state, authority, spec.Host.Number)
}

// thisMachine writes down that the node is this machine.
func (c *Cluster) thisMachine(state State) (Node, error) {
	n := state.Host.Number
	node := Node{Name: NodeName(n), IP: state.Host.IP, PID: 1, Home: c.Home}
	b, err := json.Marshal(node)
	if err != nil {
		return node, err
	}
	return node, replaceFile(c.nodePath(n, "node.json"), b, 0o644)
}

func (c *Cluster) removeHost(state State) error {
	if err := host.Remove(c.Home); err != nil {
		return err
	}
	if err := os.RemoveAll(c.path("nodes")); err != nil {
		return err
	}
	if !state.ForwardWasOff {
		return nil
	}
	return os.WriteFile(forwardFile, []byte("0"), 0)
}

// runHere runs a command on this machine as [box.Run] does in a box.
func runHere(cmd *exec.Cmd) error {
	path, err := box.LookPath(cmd.Args[0])
	if err != nil {
		return err
	}
	cmd.Path, cmd.Err = path, nil
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	if cmd.Env == nil {
		cmd.Env = box.Environ()
	}
	return cmd.Run()
}
